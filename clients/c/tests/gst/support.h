/* What tests of pipelines share: frames counted, recordings read back, elements that hang. */
#pragma once

#include "attachment.h"
#include "stop.h"

G_BEGIN_DECLS

#define LIVE "videotestsrc is-live=true name=camera ! video/x-raw,width=160,height=120,framerate=30/1"
#define CAMERA "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1"
#define MJPEG "jpegenc name=encoder ! matroskamux ! filesink name=file"
#define MP4 "x264enc name=encoder tune=zerolatency ! mp4mux name=mp4 ! filesink name=file"

/* Polls a condition; fails the test where it does not come about. */
#define wait_for(condition) \
  G_STMT_START { \
    gint64 wait_until_us = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND; \
    while (!(condition)) { \
      if (g_get_monotonic_time () > wait_until_us) \
        g_error ("%s:%d: not within 60 s: %s", __FILE__, __LINE__, #condition); \
      g_usleep (10000); \
    } \
  } G_STMT_END

/* Frames that have passed a pad, by what is in them. */
typedef struct _Frames Frames;
Frames *frames_count (GstPipeline *pipeline, const char *element, const char *pad);
guint   frames_seen (Frames *frames);
void    frames_free (Frames *frames);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Frames, frames_free)
/* Waits until no more frames come. */
void    frames_stand_still (Frames *frames);

/* A pipeline under test: attached, as a binding would, with a program that reads its bus. */
typedef struct {
  GstPipeline *pipeline;
  DscoreAttachment *attachment;
  char *path; /* Of the recording, in a folder of its own. */
  GThread *reading;
  int over; /* Atomic. */
} Subject;
/* Attaches to a pipeline; the element `file` gets a location of its own. `launch` or `pipeline`. */
Subject          *subject_new (const char *launch);
Subject          *subject_of (GstPipeline *pipeline);
void              subject_play (Subject *subject);
DscoreStopReport *subject_stop (Subject *subject, double eos_seconds, double hard_seconds);
void              subject_free (Subject *subject);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Subject, subject_free)

/* Every frame that was encoded is in the recording as it was, and a player finds the last of them. */
void assert_whole (const char *path, Frames *encoded);

/* An element with `signal-handoffs` hangs at its next frame, state changes included, until it is released. */
typedef struct _Hang Hang;
Hang    *hang_at (GstPipeline *pipeline, const char *element, guint after);
gboolean hang_is_hanging (Hang *hang);
/* Lets go of it. */
void     hang_free (Hang *hang);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Hang, hang_free)

GstElement *element_of (GstPipeline *pipeline, const char *name);
GstPipeline *pipeline_of (const char *launch);
/* A bin of a type of the test's own: `change_state` and `send_event` of GstElement may be other ones. */
typedef struct {
  GstStateChange hangs_in; /* 0: in none */
  int hanging, released;   /* Atomic. */
  gboolean keeps_events;   /* Takes what it is sent, and does nothing. */
} OddBehaviour;
GstElement *odd_bin_new (const char *name, OddBehaviour *behaviour);
/* Puts the elements of a description into it, and their ways in and out on it. */
void        odd_bin_fill (GstElement *bin, const char *launch);

void        test_start (int *argc, char ***argv);
gboolean    has_plugin (const char *element);

G_END_DECLS
