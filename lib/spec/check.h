/* check.h — rules about an evaluation that no column of spec.def can say; inside lib/spec only. */
#ifndef CAP_SPEC_CHECK_H
#define CAP_SPEC_CHECK_H

#include "spec/spec.h"

/* Whether the knob means something for this engine or load. */
bool cap_spec_applies(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_when when);

/* `spec.limt: unknown field, did you mean "limit"?` */
void cap_spec_blame_field(struct cap_spec_faults *io_faults, const ProtobufCMessageDescriptor *type,
                          const char *path, const char *name);
/* `load.concurrency "many" is not a whole number from 1 to 4096, e.g. 4`; `shown` has the quotes.
 */
void cap_spec_blame_kind(struct cap_spec_faults *io_faults, const struct cap_knob *knob,
                         const char *shown);
/* `load.concurrency 0 is not from 1 to 4096` */
void cap_spec_blame_range(struct cap_spec_faults *io_faults, const struct cap_knob *knob,
                          const char *shown);

/* The rules of rows; each gets the value of its own knob. */
#define CAP_SPEC_CHECK(name)                                                                       \
    void cap_spec_check_##name(const Moecap__V1__EvaluationSpec *spec,                             \
                               const struct cap_knob *knob, const struct cap_knob_value *value,    \
                               struct cap_spec_faults *io_faults)
CAP_SPEC_CHECK(model);
CAP_SPEC_CHECK(tasks);
CAP_SPEC_CHECK(precision);
CAP_SPEC_CHECK(one_device);
CAP_SPEC_CHECK(url);
CAP_SPEC_CHECK(json);
CAP_SPEC_CHECK(key);
CAP_SPEC_CHECK(burstiness);
CAP_SPEC_CHECK(replay);
CAP_SPEC_CHECK(fixed);

#endif
