/* Looking up users and groups in files of every quality, and the names of directories that are descriptors. */
#define _GNU_SOURCE
#include "users.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "spawn.h"

static char folder[] = "/tmp/warmpool-users-test-XXXXXX";
static char passwd_path[64], group_path[64];
static struct account_files files = {passwd_path, group_path};
static struct identity identity;

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool resolve(const char *user) { return resolve_user(&files, user, strlen(user), 0, 0, &identity); }

static void finds_names_and_numbers(void) {
  write_file(passwd_path,
             "# a comment\n\nroot:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User,,,:/home/user:/bin/bash\n"
             "broken\nalso:broken\nbad:x:nan:1:::\nbig:x:4294967295:1:::\nhuge:x:99999999999:1:::\n:x:7:7:::\n"
             "1234:x:50:51:a name of digits:/:\nother:x:1234:9:::\nlast:x:77:78::/:/bin/sh");
  write_file(group_path, "root:x:0:\nuser:x:1000:\nwheel:x:10:root,user\nlist:x:38:userx,xuser\nend:x:99:other,user");
  CHECK(resolve("") && !identity.switches && identity.uid == 0);
  CHECK(resolve("root") && !identity.switches);
  CHECK(resolve("0") && !identity.switches);
  CHECK(resolve("user") && identity.switches && identity.uid == 1000 && identity.gid == 1000);
  CHECK(identity.group_count == 3 && identity.groups[0] == 1000 && identity.groups[1] == 10 && identity.groups[2] == 99);
  CHECK(resolve("1000") && identity.uid == 1000 && identity.group_count == 3);
  CHECK(resolve("1234") && identity.uid == 50 && identity.gid == 51);
  CHECK(resolve("last") && identity.uid == 77 && identity.gid == 78);
  CHECK(resolve("5000") && identity.uid == 5000 && identity.gid == 5000 && identity.group_count == 0);
  CHECK(resolve("user:wheel") && identity.uid == 1000 && identity.gid == 10);
  CHECK(resolve("user:4242") && identity.gid == 4242);
  CHECK(resolve("0:10") && identity.switches && identity.uid == 0 && identity.gid == 10);
  CHECK(resolve_user(&files, "1000", 4, 1000, 1000, &identity) && !identity.switches);
}

static void refuses_what_is_not_there(void) {
  static const char *const UNKNOWN[] = {"nobody-here", "use",   "userx", "broken",     "bad",        "big",  "huge", ":0",
                                        "user:",       "user:no", "-1",   "4294967295", "99999999999", "0x10", "1 ",   "root:x:0"};
  for (size_t i = 0; i < sizeof UNKNOWN / sizeof UNKNOWN[0]; i += 1) CHECK(!resolve(UNKNOWN[i]));
}

static void works_without_files(void) {
  unlink(passwd_path);
  unlink(group_path);
  CHECK(resolve("") && resolve("1000") && identity.uid == 1000 && identity.gid == 1000);
  CHECK(resolve("1000:5") && identity.gid == 5);
  CHECK(!resolve("root"));
}

static void does_not_hang_on_odd_files(void) {
  CHECK(mkfifo(passwd_path, 0600) == 0);
  CHECK(!resolve("user"));
  unlink(passwd_path);
  CHECK(symlink("/dev/zero", passwd_path) == 0);
  CHECK(!resolve("user"));
  unlink(passwd_path);
  CHECK(mkdir(passwd_path, 0700) == 0);
  CHECK(!resolve("user"));
  rmdir(passwd_path);
}

static void passes_over_long_lines_and_stops_at_a_bound(void) {
  FILE *file = fopen(passwd_path, "w");
  CHECK(file != NULL);
  if (file == NULL) return;
  for (int i = 0; i < 10000; i += 1) fputc('x', file);
  fputs("\nuser:x:1000:1000:::\n", file);
  fclose(file);
  CHECK(resolve("user") && identity.uid == 1000);
  file = fopen(passwd_path, "w");
  CHECK(file != NULL);
  if (file == NULL) return;
  for (int i = 0; i < 2 * 1024 * 1024; i += 1) fputc(i % 100 == 99 ? '\n' : 'x', file);
  fputs("\nuser:x:1000:1000:::\n", file);
  fclose(file);
  CHECK(!resolve("user"));
  unlink(passwd_path);
}

static void keeps_only_so_many_groups(void) {
  write_file(passwd_path, "user:x:1000:1000:::\n");
  FILE *file = fopen(group_path, "w");
  CHECK(file != NULL);
  if (file == NULL) return;
  for (int i = 0; i < 500; i += 1) fprintf(file, "g%d:x:%d:user\n", i, 2000 + i);
  fclose(file);
  CHECK(resolve("user") && identity.group_count == SUPPLEMENTARY_GROUPS_MAX);
}

static void knows_descriptor_directories_by_any_spelling(void) {
  static const char *const REFUSED[] = {"/proc/self/fd",        "/proc/self/fd/7",     "//proc//self//fd/7/..", "/proc/1/fd/3",
                                        "/proc/./self/fd/3/x",  "/tmp/../proc/self/fd", "/proc/thread-self/fd/4",
                                        "/proc/self/task/1/fd", "/../proc/self/fd/"};
  static const char *const ALLOWED[] = {"/", "/proc", "/proc/self", "/tmp/fd", "/home/proc/self/fd", "/proc/self/fd/..",
                                        "/proc/self/fdinfo", "/procfs/self/fd", "/fd", "/proc/../fd", "/proc/../tmp/fd"};
  for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i += 1) CHECK(is_descriptor_path(REFUSED[i]));
  for (size_t i = 0; i < sizeof ALLOWED / sizeof ALLOWED[0]; i += 1) CHECK(!is_descriptor_path(ALLOWED[i]));
}

int main(void) {
  CHECK(mkdtemp(folder) != NULL);
  snprintf(passwd_path, sizeof passwd_path, "%s/passwd", folder);
  snprintf(group_path, sizeof group_path, "%s/group", folder);
  finds_names_and_numbers();
  refuses_what_is_not_there();
  works_without_files();
  does_not_hang_on_odd_files();
  passes_over_long_lines_and_stops_at_a_bound();
  keeps_only_so_many_groups();
  knows_descriptor_directories_by_any_spelling();
  unlink(passwd_path);
  unlink(group_path);
  rmdir(folder);
  return checks_result();
}
