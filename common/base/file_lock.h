// SPDX-License-Identifier: Apache-2.0
// common/base/file_lock.h -- one process at a time: a flock that ends with its holder, however that ends.
//
//   ASSIGN_OR_RETURN(FileLock lock, FileLock::Acquire(state_dir + "/lock"));
#ifndef BERTH_COMMON_BASE_FILE_LOCK_H_
#define BERTH_COMMON_BASE_FILE_LOCK_H_

#include <string>

#include "absl/status/statusor.h"

namespace berth {

// Holds the lock while it lives. The file stays behind when it goes: removing it would let two holders in.
class FileLock {
 public:
  // Never waits. Makes the file where absent (the folder must exist) and writes this process's id into it.
  // Errors: FailedPrecondition when another process, or another FileLock of this one, holds `path` (names path and
  // holder's pid); else as the open failed (see ErrnoStatus).
  static absl::StatusOr<FileLock> Acquire(const std::string& path);
  // The same of a folder that exists, in which nothing is left behind; its holder is not known by name.
  static absl::StatusOr<FileLock> AcquireFolder(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

  const std::string& path() const { return path_; }

 private:
  static absl::StatusOr<FileLock> Lock(const std::string& path, int fd);
  FileLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;  // -1 after a move
};

}  // namespace berth

#endif  // BERTH_COMMON_BASE_FILE_LOCK_H_
