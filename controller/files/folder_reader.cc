// SPDX-License-Identifier: Apache-2.0
#include "controller/files/folder_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/errno_status.h"
#include "common/net/quote.h"

namespace berth::files {
namespace {

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Reads to the end, at most one byte past the limit. False with errno set on an error.
bool ReadAll(int fd, std::string* text) {
  std::size_t used = 0;
  text->resize(64 * 1024);
  for (;;) {
    const ssize_t n = read(fd, text->data() + used, text->size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    used += static_cast<std::size_t>(n);
    if (n == 0 || used > kMaxManifestBytes) break;
    if (used == text->size()) text->resize(std::min(text->size() * 2, kMaxManifestBytes + 1));
  }
  text->resize(used);
  return true;
}

}  // namespace

FolderReader::Signature FolderReader::Signature::Of(const struct stat& st) {
  return {st.st_dev,
          st.st_ino,
          st.st_size,
          {st.st_mtim.tv_sec, st.st_mtim.tv_nsec},
          {st.st_ctim.tv_sec, st.st_ctim.tv_nsec}};
}

FolderReader::FolderReader(std::string folder, const std::vector<std::string>& known) : folder_(std::move(folder)) {
  for (const std::string& name : known) seen_.emplace(name, Signature());
}

FolderAnswer FolderReader::Read(const FolderRequest& request) {
  FolderAnswer answer;
  gone_.clear();
  struct stat before{}, after{};
  const auto failed = [&] {
    FolderAnswer none;
    none.status = ErrnoStatus(errno, absl::StrCat("manifest folder ", Quote(folder_)));
    return none;
  };
  if (stat(folder_.c_str(), &before) != 0) return failed();
  answer.status = Look(request, answer);
  if (!answer.status.ok()) return answer;
  // When the folder went away under our eyes, its files looked deleted.
  if (stat(folder_.c_str(), &after) != 0) return failed();
  if (before.st_dev != after.st_dev || before.st_ino != after.st_ino) {
    FolderAnswer none;
    none.status = absl::UnavailableError(absl::StrCat("manifest folder ", Quote(folder_), " was replaced"));
    return none;
  }
  for (const std::string& name : gone_) seen_.erase(name);
  answer.gone = std::move(gone_);
  return answer;
}

absl::Status FolderReader::Look(const FolderRequest& request, FolderAnswer& answer) {
  std::set<std::string> names = request.names;
  if (request.all) {
    const std::string what = absl::StrCat("manifest folder ", Quote(folder_));
    std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(folder_.c_str()), &closedir);
    if (dir == nullptr) return ErrnoStatus(errno, what);
    bool any = false;
    errno = 0;
    while (const dirent* entry = readdir(dir.get())) {
      if (IsManifestName(entry->d_name)) {
        any = true;
        names.insert(entry->d_name);
      }
      errno = 0;
    }
    if (errno != 0) return ErrnoStatus(errno, what);
    if (!any && request.distrust_empty) {
      return absl::FailedPreconditionError(absl::StrCat(what, " has no manifest, which it had before"));
    }
    for (const auto& [name, signature] : seen_) names.insert(name);
  }
  for (const std::string& name : names) {
    if (request.being_written.count(name) == 0) ReadOne(name, request.names.count(name) != 0, answer);
  }
  return absl::OkStatus();
}

void FolderReader::ReadOne(const std::string& name, bool even_if_same, FolderAnswer& answer) {
  const std::string path = absl::StrCat(folder_, "/", name);
  struct stat st{};
  if (lstat(path.c_str(), &st) != 0 && errno == ENOENT) {
    if (seen_.count(name) != 0) gone_.push_back(name);
    return;
  }
  Signature now;
  if (stat(path.c_str(), &st) == 0) now = Signature::Of(st);
  auto it = seen_.find(name);
  if (!even_if_same && it != seen_.end() && it->second == now && now.size >= 0) return;
  std::optional<ParsedFile> parsed = Parse(name, path, now);
  if (!parsed) {
    answer.busy.insert(name);
    return;
  }
  seen_[name] = now;
  answer.files.emplace_back(name, *std::move(parsed));
}

std::optional<ParsedFile> FolderReader::Parse(const std::string& name, const std::string& path, Signature& seen) const {
  const auto unreadable = [&](absl::string_view why) { return UnreadableManifest(name, 1, why); };
  const auto failed = [&] { return unreadable(absl::StrCat("cannot be read: ", std::strerror(errno))); };
  // Not blocking, since a pipe would block for ever.
  OwnedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st{};
  if (fd.get() < 0 || fstat(fd.get(), &st) != 0) return failed();
  if (!S_ISREG(st.st_mode)) return unreadable("is not a regular file");
  seen = Signature::Of(st);
  std::string text;
  if (!ReadAll(fd.get(), &text)) return failed();
  if (fstat(fd.get(), &st) != 0) return failed();
  if (Signature::Of(st) != seen) return std::nullopt;
  return ParseManifest(name, text);
}

}  // namespace berth::files
