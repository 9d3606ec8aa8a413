/* hub.h - a model that process 1 keeps in the hub's own cache instead of a folder of its own. Floor: supervisor/host.
 *
 * When --model is empty and --model-source is an hf:// name, the fetch job fills the cache as the hub's client does, and a server
 * that is given the repository's name finds it there: it gets HF_HUB_CACHE and HF_HUB_OFFLINE=1. */
#ifndef HOLD_SUPERVISOR_HOST_HUB_H
#define HOLD_SUPERVISOR_HOST_HUB_H

#include "supervisor/host/core.h"

/* The cache's folder, NULL when the model is not kept in one. --hub-cache (HF_HUB_CACHE), else HF_HOME/hub, else
 * XDG_CACHE_HOME or HOME/.cache, /huggingface/hub. Valid until the next call. */
const char *hold_hub_root(const struct hold_core *core);

/* What must be granted so that the files of a model's folder can be read: the folder, or, when it is a snapshot of a hub's cache,
 * the folder above that its links lead into. Valid until the next call. */
const char *hold_hub_granted(const char *model_dir);

#endif
