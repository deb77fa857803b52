#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How alike two words are, from 0 to 1: Ratcliff and Obershelp's measure, as Python's difflib has it. */
double dscore_similarity (const char *word, const char *other);

G_END_DECLS
