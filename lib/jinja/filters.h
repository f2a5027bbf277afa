/* filters.h — what the two files of filters share; included in lib/jinja only. */
#ifndef CAP_JINJA_FILTERS_H
#define CAP_JINJA_FILTERS_H

#include "jinja/internal.h"

typedef bool filter_function(struct run *run, struct value in, const struct arguments *args,
                             struct value *out);

/* filters_text.c */
filter_function jinja_f_trim, jinja_f_upper, jinja_f_lower, jinja_f_string, jinja_f_capitalize,
    jinja_f_title, jinja_f_replace, jinja_f_indent, jinja_f_format, jinja_f_tojson,
    jinja_f_wordcount, jinja_f_escape, jinja_f_regex_replace, jinja_f_int, jinja_f_float,
    jinja_f_abs, jinja_f_round;

bool jinja_fail_kind(struct run *run, const char *filter, const struct value *v);

#endif
