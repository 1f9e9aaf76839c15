// SPDX-License-Identifier: Apache-2.0
#include "common/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/errno_status.h"

namespace berth {
namespace {

std::string HolderIn(int fd) {
  std::array<char, 32> text{};
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  if (count <= 0) return "unknown";
  return std::string(absl::StripAsciiWhitespace(absl::string_view(text.data(), static_cast<std::size_t>(count))));
}

// The id is a hint for people; the lock is what counts, so a disk too full for it is no error.
void WriteHolder(int fd) {
  const std::string pid = absl::StrCat(::getpid(), "\n");
  if (::ftruncate(fd, 0) == 0) {
    const ssize_t written = ::pwrite(fd, pid.data(), pid.size(), 0);
    static_cast<void>(written);
  }
}

}  // namespace

absl::StatusOr<FileLock> FileLock::Acquire(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open lock file ", path));
  absl::StatusOr<FileLock> lock = Lock(path, fd);
  if (lock.ok()) WriteHolder(fd);
  return lock;
}

absl::StatusOr<FileLock> FileLock::AcquireFolder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open folder ", path));
  return Lock(path, fd);
}

// Takes the descriptor over.
absl::StatusOr<FileLock> FileLock::Lock(const std::string& path, int fd) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (error == EINTR) continue;
    absl::Status status = ErrnoStatus(error, absl::StrCat("lock ", path));
    if (error == EWOULDBLOCK) {
      status = absl::FailedPreconditionError(
          absl::StrCat(path, " is held by process ", HolderIn(fd), ", stop that one or use another folder"));
    }
    ::close(fd);
    return status;
  }
  return FileLock(path, fd);
}

FileLock::FileLock(FileLock&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    path_ = std::move(other.path_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace berth
