// SPDX-License-Identifier: Apache-2.0
#include "agent/desired/file_store.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/desired/state_codec.h"
#include "common/base/atomic_file.h"
#include "common/base/errno_status.h"

namespace berth::agent {

FileStore::FileStore(EventLoop& loop, std::string folder)
    : loop_(loop), folder_(std::move(folder)), path_(folder_ + "/" + kFileName), writer_([this] { RunWriter(); }) {}

FileStore::~FileStore() {
  *alive_ = false;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  writer_.join();
}

absl::StatusOr<std::optional<StoredState>> FileStore::Load() {
  absl::StatusOr<std::optional<std::string>> bytes = ReadFile(path_);
  if (!bytes.ok()) return bytes.status();
  if (!bytes->has_value()) return std::nullopt;
  absl::StatusOr<StoredState> state = DecodeState(**bytes);
  if (state.ok()) return std::optional<StoredState>(*std::move(state));
  const absl::StatusOr<std::string> aside = MoveAside(path_);
  return absl::DataLossError(
      absl::StrCat(path_, ": ", state.status().message(),
                   aside.ok() ? absl::StrCat(", moved to ", *aside)
                              : absl::StrCat(", and cannot be moved aside: ", aside.status().message())));
}

void FileStore::Save(StoredState state, Done done) {
  {
    const std::lock_guard lock(mutex_);
    waiting_ = std::move(state);
    done_.push_back(std::move(done));
  }
  changed_.notify_all();
}

bool FileStore::Sole() {
  if (sole_.has_value() || !MakeFolders(folder_).ok()) return true;
  absl::StatusOr<FileLock> lock = FileLock::AcquireFolder(folder_);
  if (absl::IsFailedPrecondition(lock.status())) return false;
  if (lock.ok()) {
    sole_ = *std::move(lock);
    const std::lock_guard guard(mutex_);
    sweep_ = true;
  }
  return true;  // or the file system knows no locks: nothing can be known
}

absl::Status FileStore::Remove() {
  std::unique_lock lock(mutex_);
  waiting_.reset();
  changed_.wait(lock, [this] { return !writing_; });
  RemoveTemporaries(path_);
  if (unlink(path_.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, absl::StrCat("remove ", path_));
  return absl::OkStatus();
}

absl::Status FileStore::Write(const StoredState& state) const {
  if (absl::Status s = MakeFolders(folder_); !s.ok()) return s;
  return WriteFileAtomically(path_, EncodeState(state));
}

void FileStore::RunWriter() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || waiting_.has_value(); });
    if (!waiting_.has_value()) return;  // stopped, and nothing left to write
    const StoredState state = *std::exchange(waiting_, std::nullopt);
    std::vector<Done> done = std::exchange(done_, {});
    const bool sweep = std::exchange(sweep_, false);
    writing_ = true;
    lock.unlock();
    if (sweep) RemoveTemporaries(path_);
    const absl::Status status = Write(state);
    loop_.Post([alive = alive_, done = std::move(done), status] {
      if (!*alive) return;
      for (const Done& d : done) {
        if (d) d(status);
      }
    });
    lock.lock();
    writing_ = false;
    changed_.notify_all();
  }
}

}  // namespace berth::agent
