/* The bodies of the file requests, one per type. Each answers, and ends the worker or returns to be ended. */
#ifndef WARMPOOL_FILE_REQUESTS_H
#define WARMPOOL_FILE_REQUESTS_H

#include "file_request.h"

void read_file(const struct file_request *request);
void write_file(const struct file_request *request);
void pack_tar(const struct file_request *request);
void unpack_tar(const struct file_request *request);
void list_files(const struct file_request *request);
void stat_file(const struct file_request *request);
void make_directory(const struct file_request *request);
void rename_file(const struct file_request *request);
void remove_file(const struct file_request *request);
void change_file(const struct file_request *request);
void watch_files(const struct file_request *request);

#endif
