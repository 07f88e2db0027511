#include "file_answer.h"
#include "file_requests.h"
void pack_tar(const struct file_request *request) { (void)request; fail("io_error", "not yet"); }
void unpack_tar(const struct file_request *request) { (void)request; fail("io_error", "not yet"); }
void watch_files(const struct file_request *request) { (void)request; fail("io_error", "not yet"); }
