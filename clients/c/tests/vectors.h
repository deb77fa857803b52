#pragma once

#include <json-glib/json-glib.h>

/* A file of tests/vectors; the test fails without it. */
JsonNode *load_vectors (const char *name);
const char *text_of (JsonObject *object, const char *name);
double number_of (JsonObject *object, const char *name);
/* Bytes written as [[unit in hexadecimal, times], …]. */
GByteArray *bytes_of (JsonArray *parts);
