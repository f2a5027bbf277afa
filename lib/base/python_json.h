/* python_json.h — JSON as Python's json module reads it, made into JSON that strict readers take.
 *
 * Many files of this field were written by Python, which writes and reads more than the standard
 * has: Infinity, -Infinity and NaN; integers of any length; a byte order mark, where the file was
 * opened so. A strict reader refuses the whole file because of one such number, though mostly
 * nobody asks for it. Here the number becomes what a strict reader takes and what nobody mistakes
 * for a good value: "Infinity", "-Infinity" and "NaN" as strings, a long integer as a real number.
 * A byte order mark is left out. Everything else stays byte for byte, mistakes included.
 *
 *     CAP_AUTO_MEM char *strict = cap_python_json(text, length, &strict_length);
 *     json_t *json = json_loadb(strict, strict_length, 0, &why);
 */
#ifndef CAP_PYTHON_JSON_H
#define CAP_PYTHON_JSON_H

#include <stddef.h>

/* Ends with a NUL after its length; the caller's to free(). Line numbers stay the same. */
char *cap_python_json(const char *text, size_t length, size_t *out_length);

#endif
