/* The activation profile of a submission: a CSV, or the id of a run that counted its experts.
 *
 * A run's curve becomes a CSV here, once, so that what is measured later rests on what was
 * submitted and not on a run that may be gone. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "model/profile.h"
#include "moecap/v1/store.rpc.h"
#include "service.h"

static const char field[] = "spec.activation_profile";
static const char curve_id[] = "activation_batch_decode";

static const Moecap__V1__Curve *find_curve(const Moecap__V1__GetRunReply *run)
{
    for (size_t i = 0; i < run->n_curves; i++)
        if (strcmp(run->curves[i]->id, curve_id) == 0 && run->curves[i]->n_x > 0)
            return run->curves[i];
    return NULL;
}

static char *csv_of(const Moecap__V1__GetRunReply *run, const Moecap__V1__Curve *curve,
                    struct cap_arena *arena)
{
    CAP_AUTO_BUF(csv, CAP_PROFILE_BYTES_MAX);

    cap_buf_add_str(&csv, "dataset,batch_size,average_activated_experts\n");
    for (size_t i = 0; i < curve->n_x && i < curve->n_y; i++)
        cap_buf_printf(&csv, "%s,%.9g,%.9g\n", run->row->task, curve->x[i], curve->y[i]);
    return csv.overflowed ? NULL : cap_arena_strdup(arena, csv.data);
}

static bool take_run(struct sched_service *service, Moecap__V1__EvaluationSpec *io_spec,
                     struct cap_arena *arena, struct cap_err *err)
{
    Moecap__V1__GetRunRequest request = MOECAP__V1__GET_RUN_REQUEST__INIT;
    const char *id = io_spec->activation_profile;
    const Moecap__V1__Curve *curve;
    Moecap__V1__GetRunReply *run;
    char *csv;

    request.run_id = (char *)id;
    if (!store_rpc_get_run(service->clients.store, NULL, &request, arena, &run, err)) {
        cap_fail_in(err, "activation_profile");
        snprintf(err->field, sizeof err->field, "%s", field);
        return false;
    }
    if (!run->row || !(curve = find_curve(run)))
        return cap_fail_field(err, CAP_FAILED_PRECONDITION, field,
                              "activation_profile: run %.64s did not count its experts by batch; "
                              "name a finished run of our engine, or a CSV of moecap profile",
                              id);
    if (!(csv = csv_of(run, curve, arena)))
        return cap_fail_field(err, CAP_RESOURCE_EXHAUSTED, field,
                              "activation_profile: the curve of run %.64s is too long", id);
    io_spec->activation_profile = csv;
    return true;
}

bool sched_resolve_profile(struct sched_service *service, Moecap__V1__EvaluationSpec *io_spec,
                           struct cap_arena *arena, struct cap_err *err)
{
    const char *text = io_spec->activation_profile;
    struct cap_err why = {0};
    struct cap_profile profile;

    if (!*text)
        return true;
    if (strncmp(text, "run-", 4) == 0 && !strchr(text, '\n'))
        return take_run(service, io_spec, arena, err);
    return cap_profile_read(text, &profile, &why) ||
           cap_fail_field(err, why.code, field, "activation_profile: %s", why.text);
}
