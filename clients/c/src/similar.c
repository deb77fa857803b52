/* Likeness of words, for "did you mean": twice the characters in common blocks, by the characters of both. */
#include "similar.h"

#define MAX_WORD 256

typedef struct {
  const gunichar *a, *b;
} Words;

/* The characters in common blocks: the longest one, and what lies on both sides of it. */
static glong
matches (const Words *words, glong a_low, glong a_high, glong b_low, glong b_high)
{
  glong best_a = a_low, best_b = b_low, best = 0;
  for (glong i = a_low; i < a_high; i++)
    for (glong j = b_low; j < b_high; j++)
      {
        glong k = 0;
        while (i + k < a_high && j + k < b_high && words->a[i + k] == words->b[j + k])
          k++;
        if (k > best)
          {
            best = k;
            best_a = i;
            best_b = j;
          }
      }
  if (best == 0)
    return 0;
  return best + matches (words, a_low, best_a, b_low, best_b) + matches (words, best_a + best, a_high, best_b + best, b_high);
}

double
dscore_similarity (const char *word, const char *other)
{
  glong word_size, other_size;
  g_autofree gunichar *b = g_utf8_to_ucs4_fast (word, -1, &word_size);
  g_autofree gunichar *a = g_utf8_to_ucs4_fast (other, -1, &other_size);
  if (word_size + other_size == 0 || word_size > MAX_WORD || other_size > MAX_WORD)
    return 0;
  const Words words = { a, b };
  return 2.0 * (double) matches (&words, 0, other_size, 0, word_size) / (double) (word_size + other_size);
}
