// SPDX-License-Identifier: Apache-2.0
#include "controller/files/folder_watch.h"

#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/errno_status.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/files/manifest/manifest.h"

namespace berth::files {
namespace {

constexpr absl::Duration kCoalesce = absl::Milliseconds(50);
constexpr absl::Duration kWriterPause = absl::Seconds(1);
constexpr absl::Duration kRetry = absl::Seconds(1);
constexpr absl::Duration kLookAgain = absl::Seconds(30);
// A folder that comes back is often filled file by file.
constexpr absl::Duration kSettle = absl::Milliseconds(500);
constexpr std::uint32_t kMask = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// A link comes with its content, so nobody will close it.
bool IsLink(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

}  // namespace

FolderWatch::FolderWatch(EventLoop& loop, std::string folder, Callbacks callbacks)
    : loop_(loop), folder_(std::move(folder)), callbacks_(std::move(callbacks)) {}

absl::Status FolderWatch::Start() {
  RETURN_IF_ERROR(AddWatch());
  look_timer_ = loop_.RunAfter(kLookAgain, [this] { LookAgain(); });
  return absl::OkStatus();
}

void FolderWatch::Stop() {
  CloseWatch();
  for (TimerId* timer : {&flush_timer_, &retry_timer_, &look_timer_}) {
    loop_.Cancel(*timer);
    *timer = 0;
  }
}

absl::Status FolderWatch::AddWatch() {
  const std::string what = absl::StrCat("manifest folder ", Quote(folder_));
  struct stat st{};
  if (stat(folder_.c_str(), &st) != 0) return ErrnoStatus(errno, what);
  if (access(folder_.c_str(), R_OK | X_OK) != 0) return ErrnoStatus(errno, what);
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat(what, ": inotify_init1"));
  if (inotify_add_watch(fd, folder_.c_str(), kMask) < 0) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, absl::StrCat(what, ": inotify_add_watch"));
  }
  absl::Status watched = loop_.WatchFd(fd, EPOLLIN, [this](std::uint32_t) { OnReadable(); });
  if (!watched.ok()) {
    close(fd);
    return Annotate(watched, what);
  }
  fd_ = fd;
  id_ = {st.st_dev, st.st_ino};
  return absl::OkStatus();
}

void FolderWatch::CloseWatch() {
  if (fd_ < 0) return;
  loop_.UnwatchFd(fd_);
  close(fd_);
  fd_ = -1;
}

void FolderWatch::OnReadable() {
  alignas(inotify_event) char buffer[16 * 1024];
  while (fd_ >= 0) {
    const ssize_t n = read(fd_, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    for (ssize_t at = 0; at < n && fd_ >= 0;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof(event));
      const char* name = buffer + at + sizeof(event);
      if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) {
        Lost(absl::NotFoundError(absl::StrCat("manifest folder ", Quote(folder_), " is gone")));
      } else if ((event.mask & IN_Q_OVERFLOW) != 0) {
        all_ = true;
        FlushAt(loop_.Now() + kCoalesce);
      } else if (event.len > 0) {
        OnFileEvent(name, event.mask);
      }
      at += static_cast<ssize_t>(sizeof(event) + event.len);
    }
  }
}

void FolderWatch::OnFileEvent(const std::string& name, std::uint32_t mask) {
  if (absl::StartsWith(name, "..")) {  // the hidden half of a mounted ConfigMap
    all_ = true;
    FlushAt(loop_.Now() + kCoalesce);
    return;
  }
  if (!IsManifestName(name) || (mask & IN_ISDIR) != 0) return;
  const bool begins = (mask & IN_MODIFY) != 0 || ((mask & IN_CREATE) != 0 && !IsLink(absl::StrCat(folder_, "/", name)));
  if (begins) {
    writing_[name] = loop_.Now() + kWriterPause;
    FlushAt(loop_.Now() + kWriterPause);
    return;
  }
  if ((mask & IN_ATTRIB) == 0) writing_.erase(name);
  names_.insert(name);
  FlushAt(loop_.Now() + kCoalesce);
}

void FolderWatch::Lost(const absl::Status& status) {
  CloseWatch();
  loop_.Cancel(flush_timer_);
  flush_timer_ = 0;
  flush_at_ = absl::InfiniteFuture();
  all_ = false;
  names_.clear();
  writing_.clear();
  retry_timer_ = loop_.RunAfter(kCoalesce, [this] { Retry(); });
  callbacks_.on_lost(status);
}

void FolderWatch::Retry() {
  retry_timer_ = 0;
  if (!AddWatch().ok()) {
    retry_timer_ = loop_.RunAfter(kRetry, [this] { Retry(); });
    return;
  }
  all_ = true;
  FlushAt(loop_.Now() + kSettle);
}

void FolderWatch::LookAgain() {
  look_timer_ = loop_.RunAfter(kLookAgain, [this] { LookAgain(); });
  if (fd_ < 0) return;
  struct stat st{};
  if (stat(folder_.c_str(), &st) != 0)
    return Lost(ErrnoStatus(errno, absl::StrCat("manifest folder ", Quote(folder_))));
  if (FolderId(st.st_dev, st.st_ino) != id_) {
    return Lost(absl::NotFoundError(absl::StrCat("manifest folder ", Quote(folder_), " was replaced")));
  }
  all_ = true;
  Flush();
}

void FolderWatch::FlushAt(absl::Time when) {
  if (flush_at_ <= when) return;
  loop_.Cancel(flush_timer_);
  flush_at_ = when;
  flush_timer_ = loop_.RunAt(when, [this] { Flush(); });
}

void FolderWatch::Flush() {
  loop_.Cancel(flush_timer_);
  flush_timer_ = 0;
  flush_at_ = absl::InfiniteFuture();
  Changes changes;
  absl::Time next = absl::InfiniteFuture();
  for (auto it = writing_.begin(); it != writing_.end();) {
    if (it->second <= loop_.Now()) {
      names_.insert(it->first);
      it = writing_.erase(it);
    } else {
      names_.erase(it->first);
      changes.being_written.insert(it->first);
      next = std::min(next, it->second);
      ++it;
    }
  }
  changes.all = all_;
  changes.names = std::move(names_);
  all_ = false;
  names_.clear();
  if (next != absl::InfiniteFuture()) FlushAt(next);
  if (changes.all || !changes.names.empty()) callbacks_.on_changes(std::move(changes));
}

}  // namespace berth::files
