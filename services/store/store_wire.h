/* store_wire.h — between messages and the plain structs of types.h.
 *
 * from_wire borrows from the message and takes arrays from the arena; to_wire borrows from the
 * struct and makes messages in the arena. False or NULL: the arena is full, unless an `err` says
 * more.
 */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H

#include "append.h"
#include "moecap/v1/store.pb-c.h"
#include "report.h"
#include "types.h"

/* ---- from the wire ---- */

bool store_task_from_wire(const Moecap__V1__TaskInfo *wire, struct store_task *out_task);
bool store_lease_refs_from_wire(Moecap__V1__LeaseRef *const *wire, size_t count,
                                struct cap_arena *arena, struct store_lease_refs *out_refs);
struct store_lease_ref store_lease_ref_from_wire(const Moecap__V1__LeaseRef *wire);
bool store_verdicts_from_wire(Moecap__V1__Verdict *const *wire, size_t count,
                              struct cap_arena *arena, struct store_verdicts *out_verdicts);
bool store_figures_from_wire(Moecap__V1__Figure *const *wire, size_t count, struct cap_arena *arena,
                             struct store_figures *out_figures);
bool store_histograms_from_wire(Moecap__V1__Histogram *const *wire, size_t count,
                                struct cap_arena *arena, struct store_histograms *out_histograms);
/* Unpacks the rows of a batch; fails when they are no AnswerRows. */
bool store_rows_from_wire(struct store_bytes packed, struct cap_arena *arena,
                          struct store_batch *out_batch, struct cap_err *err);
/* Any message as bytes; data NULL when the arena is full. */
struct store_bytes store_packed(const ProtobufCMessage *message, struct cap_arena *arena);

/* ---- to the wire ---- */

Moecap__V1__TaskInfo *store_task_to_wire(const struct store_task *task, struct cap_arena *arena);
Moecap__V1__TaskDoc *store_doc_to_wire(const struct store_doc *doc, struct cap_arena *arena);
bool store_docs_to_wire(struct store_docs docs, struct cap_arena *arena,
                        Moecap__V1__TaskDoc ***out_wire);
Moecap__V1__LeaseRef *store_lease_ref_to_wire(const struct store_lease_ref *ref,
                                              struct cap_arena *arena);
bool store_lease_refs_to_wire(struct store_lease_refs refs, struct cap_arena *arena,
                              Moecap__V1__LeaseRef ***out_wire);
Moecap__V1__SampleAnswer *store_answer_to_wire(const struct store_answer *answer,
                                               struct cap_arena *arena);
bool store_verdicts_to_wire(struct store_verdicts verdicts, struct cap_arena *arena,
                            Moecap__V1__Verdict ***out_wire);
bool store_passes_to_wire(struct store_passes passes, struct cap_arena *arena,
                          Moecap__V1__Pass ***out_wire);
bool store_counts_to_wire(struct store_expert_counts counts, struct cap_arena *arena,
                          Moecap__V1__ExpertCount ***out_wire);
bool store_powers_to_wire(struct store_powers power, struct cap_arena *arena,
                          Moecap__V1__PowerSample ***out_wire);
bool store_histograms_to_wire(struct store_histograms histograms, struct cap_arena *arena,
                              Moecap__V1__Histogram ***out_wire);
Moecap__V1__BoardRow *store_board_row_to_wire(const struct store_board_row *row,
                                              struct cap_arena *arena);
/* NULL also for bytes that are no such message. */
Moecap__V1__EvaluationSpec *store_spec_to_wire(struct store_bytes packed, struct cap_arena *arena);
Moecap__V1__ShardReport *store_report_to_wire(struct store_bytes packed, struct cap_arena *arena);
Moecap__V1__SampleRouting *store_routing_to_wire(struct store_bytes packed,
                                                 struct cap_arena *arena);

#endif
