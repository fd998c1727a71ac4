/* The list of commands: one line each here, one in the table of cli/main.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command cmd_check;
extern const struct command cmd_policy_convert;
extern const struct command cmd_policy_diff;
extern const struct command cmd_policy_dump;
extern const struct command cmd_policy_eval;
extern const struct command cmd_policy_explain;
extern const struct command cmd_policy_lint;
extern const struct command cmd_policy_replay;
extern const struct command cmd_policy_schema;
extern const struct command cmd_policy_sign;
extern const struct command cmd_policy_status;
extern const struct command cmd_policy_test;
extern const struct command cmd_policy_verify;
extern const struct command cmd_policy_what_can;
extern const struct command cmd_policy_who_can;
extern const struct command cmd_sync_explain;
extern const struct command cmd_sync_export;
extern const struct command cmd_sync_gc;
extern const struct command cmd_sync_plan;
extern const struct command cmd_sync_rbac;
extern const struct command cmd_sync_suspend;
extern const struct command cmd_sync_undo;
extern const struct command cmd_token_explain;

#endif
