// SPDX-License-Identifier: Apache-2.0
// controller/files/folder_watch.h -- tells which manifests of a folder changed, by inotify, a little later and all
// together.
//
// Noticed: files written, moved, linked, deleted, made readable; the whole set being swapped through a "..data" link as
// mounted ConfigMaps are; the folder deleted, moved, unmounted or replaced; a lost event queue. Changes within 50 ms
// arrive as one. A file that is open for writing is held back until it is closed, or not written to for a second: a
// file without its end may parse, and look as if objects had been deleted. Every 30 s all is looked at once more, for
// file systems that do not notify and links that lead elsewhere.
#ifndef BERTH_CONTROLLER_FILES_FOLDER_WATCH_H_
#define BERTH_CONTROLLER_FILES_FOLDER_WATCH_H_

#include <sys/inotify.h>
#include <sys/types.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"

namespace berth::files {

// Loop thread only, callbacks too; they may not destroy it.
class FolderWatch {
 public:
  struct Changes {
    bool all = false;                     // any file may have changed
    std::set<std::string> names;          // these did: written, or gone
    std::set<std::string> being_written;  // not to be read yet
  };
  struct Callbacks {
    std::function<void(Changes)> on_changes;
    // The folder is gone, and was not before. Once it is back, a Changes with `all` follows.
    std::function<void(absl::Status)> on_lost;
  };

  FolderWatch(EventLoop& loop, std::string folder, Callbacks callbacks);
  ~FolderWatch() { Stop(); }
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Errors: when the folder is not there, is no folder, may not be read, or inotify is used up. Reports nothing about
  // what is there already.
  absl::Status Start();
  void Stop();

 private:
  using FolderId = std::pair<dev_t, ino_t>;

  absl::Status AddWatch();
  void CloseWatch();
  void OnReadable();
  void OnEvent(const inotify_event& event);
  void OnFileEvent(const std::string& name, std::uint32_t mask);
  void Lost(const absl::Status& status);
  void Retry();
  void LookAgain();
  void FlushAt(absl::Time when);
  void Flush();

  EventLoop& loop_;
  const std::string folder_;
  const Callbacks callbacks_;
  int fd_ = -1;  // -1: not watching
  FolderId id_{};
  bool all_ = false;
  std::set<std::string> names_;
  std::map<std::string, absl::Time> writing_;  // until when to wait for its end
  TimerId flush_timer_ = 0, retry_timer_ = 0, look_timer_ = 0;
  absl::Time flush_at_ = absl::InfiniteFuture();
};

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_FOLDER_WATCH_H_
