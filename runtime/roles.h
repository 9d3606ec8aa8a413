/* roles.h - the roles of holdfast-runtime, one function each. Floor: runtime. argv[0] is the role's name; the result is the exit status
 * (base/exit.def). */
#ifndef HOLD_RUNTIME_ROLES_H
#define HOLD_RUNTIME_ROLES_H

int hold_front_main(int argc, char **argv);
int hold_engine_main(int argc, char **argv);
int hold_eval_main(int argc, char **argv);

#endif
