/* password.h — the database's password from a file, as container platforms mount secrets.
 *
 * Read once, at start; any thread. The caller frees.
 */
#ifndef STORE_PASSWORD_H
#define STORE_PASSWORD_H

#include "base/err.h"

/* The file's first line without its end. NULL when there is no such file, when that line is empty,
 * or when another line with text follows: then it is not a password file. No sentence holds any of
 * its text. */
char *store_password_read(const char *path, struct cap_err *err);

#endif
