// SPDX-License-Identifier: Apache-2.0
#include "common/base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"

namespace berth {
namespace {

namespace fs = std::filesystem;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int Close() {
    const int result = fd_ < 0 ? 0 : ::close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

// A temporary is called as its file is, and these.
constexpr absl::string_view kTemporary = ".tmp-";
constexpr absl::string_view kRandom = "XXXXXX";  // as mkostemp asks for

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

constexpr std::size_t kBlock = 256 * 1024;  // bytes gathered for one write

absl::Status Fill(Fd& fd, const std::function<void(const ByteSink&)>& make, mode_t mode) {
  if (::fchmod(fd.get(), mode) != 0) return ErrnoStatus(errno, "chmod");
  absl::Status status;
  std::string block;
  make([&](absl::string_view piece) {
    if (!status.ok()) return;
    block.append(piece.data(), piece.size());
    if (block.size() < kBlock) return;
    status = WriteAll(fd.get(), block);
    block.clear();
  });
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(WriteAll(fd.get(), block));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "fsync");
  if (fd.Close() != 0) return ErrnoStatus(errno, "close");
  return absl::OkStatus();
}

// Makes a rename in `folder` survive a power cut.
absl::Status SyncFolder(const std::string& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, absl::StrCat("open folder ", folder));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, absl::StrCat("fsync folder ", folder));
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes, mode_t mode) {
  return WriteFileAtomically(path, [bytes](const ByteSink& sink) { sink(bytes); }, mode);
}

absl::Status WriteFileAtomically(const std::string& path, const std::function<void(const ByteSink&)>& make,
                                 mode_t mode) {
  const std::string context = absl::StrCat("write ", path);
  std::string temporary = absl::StrCat(path, kTemporary, kRandom);
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (fd.get() < 0) return ErrnoStatus(errno, absl::StrCat(context, ": make a temporary file in ", FolderOf(path)));
  absl::Status status = Fill(fd, make, mode);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) status = ErrnoStatus(errno, "rename");
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    return Annotate(status, context);
  }
  return Annotate(SyncFolder(FolderOf(path)), context);
}

void RemoveTemporaries(const std::string& path) {
  const std::string prefix = absl::StrCat(fs::path(path).filename().string(), kTemporary);
  std::error_code error;
  for (fs::directory_iterator entry(FolderOf(path), error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (absl::StartsWith(name, prefix) && name.size() == prefix.size() + kRandom.size()) {
      ::unlink(entry->path().c_str());
    }
  }
}

absl::StatusOr<std::optional<std::string>> ReadFile(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::optional<std::string>();
    return ErrnoStatus(errno, absl::StrCat("open ", path));
  }
  std::string bytes;
  std::array<char, 16384> block{};
  while (true) {
    const ssize_t count = ::read(fd.get(), block.data(), block.size());
    if (count == 0) return std::optional<std::string>(std::move(bytes));
    if (count < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, absl::StrCat("read ", path));
    }
    bytes.append(block.data(), static_cast<std::size_t>(count));
  }
}

absl::StatusOr<std::string> MoveAside(const std::string& path) {
  const std::string context = absl::StrCat("move ", path, " aside");
  for (int n = 1;; ++n) {
    std::string aside = absl::StrCat(path, ".corrupt-", n);
    // RENAME_NOREPLACE: an earlier corrupt file is evidence too.
    if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, aside.c_str(), RENAME_NOREPLACE) == 0) {
      RETURN_IF_ERROR(Annotate(SyncFolder(FolderOf(path)), context));
      return aside;
    }
    if (errno != EEXIST) return ErrnoStatus(errno, context);
  }
}

absl::Status MakeFolders(const std::string& path, mode_t mode) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) {
      return ErrnoStatus(errno, absl::StrCat("make folder ", part));
    }
    if (end == std::string::npos) break;
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, absl::StrCat("make folder ", path));
  if (!S_ISDIR(info.st_mode)) return ErrnoStatus(ENOTDIR, absl::StrCat("make folder ", path));
  return absl::OkStatus();
}

}  // namespace berth
