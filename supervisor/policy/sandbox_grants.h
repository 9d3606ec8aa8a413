/* sandbox_grants.h - which files and ports a profile may reach, as Landlock operations of a plan. Floor: supervisor/policy, pure. */
#ifndef HOLD_POLICY_SANDBOX_GRANTS_H
#define HOLD_POLICY_SANDBOX_GRANTS_H

#include "supervisor/policy/sandbox_plan.h"

/* Adds ruleset, grants and restriction for the ABI that the facts name, and the notes of the layers FILES, PORTS and
 * SCOPE. With no Landlock at all only the notes. Only rights that the ABI knows are handled or granted. Fails with LIMIT. */
HOLD_MUST int hold_sandbox_grants_add(const struct hold_sandbox_request *request, const struct hold_sandbox_facts *facts,
                                      struct hold_sandbox_plan *plan, struct hold_err *err);

/* "r:/path", "rw:/path", "x:/path", "dev:/path"; the path is borrowed from text. Fails with CONFIG. */
HOLD_MUST int hold_sandbox_grant_parse(const char *text, struct hold_sandbox_grant *ret_grant, struct hold_err *err);
/* Landlock's file rights for HOLD_GRANT_* bits, less what the ABI does not know. */
uint64_t hold_sandbox_rights(uint32_t access, int abi);

#endif
