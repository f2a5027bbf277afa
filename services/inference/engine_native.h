/* engine_native.h — our own engine (native/) and text (text/) behind the vtable of engine.h.
 *
 * The session deals in tokens; here texts become tokens and tokens texts: chat template, special
 * tokens, whole characters, stop strings that span tokens. A request past the context is refused
 * with its numbers. An answer's tokens are counted with the eos that ended it.
 */
#ifndef INFER_ENGINE_NATIVE_H
#define INFER_ENGINE_NATIVE_H

#include "engine.h"

extern const struct infer_engine_ops infer_engine_native_ops;

#endif
