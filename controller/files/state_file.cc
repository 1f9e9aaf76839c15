// SPDX-License-Identifier: Apache-2.0
#include "controller/files/state_file.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"

namespace berth::files {

absl::StatusOr<std::unique_ptr<StateFile>> StateFile::Open(EventLoop& loop, const std::string& folder) {
  const std::string what = absl::StrCat("state folder ", Quote(folder));
  RETURN_IF_ERROR(Annotate(MakeFolders(folder), what));
  absl::StatusOr<FileLock> lock = FileLock::Acquire(absl::StrCat(folder, "/lock"));
  if (!lock.ok() && absl::IsFailedPrecondition(lock.status())) {
    return Annotate(lock.status(), absl::StrCat(what, " is used by another controller"));
  }
  if (!lock.ok()) return Annotate(lock.status(), what);

  const std::string path = absl::StrCat(folder, "/state.json");
  RemoveTemporaries(path);
  absl::StatusOr<std::optional<std::string>> text = ReadFile(path);
  if (!text.ok()) return Annotate(text.status(), what);
  StateData state;
  std::string warning;
  if (text->has_value()) {
    absl::StatusOr<StateData> decoded = DecodeState(**text);
    if (decoded.ok()) {
      state = *std::move(decoded);
    } else if (absl::IsFailedPrecondition(decoded.status())) {
      return Annotate(decoded.status(), path);
    } else {
      absl::StatusOr<std::string> aside = MoveAside(path);
      if (!aside.ok()) return Annotate(aside.status(), what);
      warning = absl::StrCat(path, ": is corrupt and was moved to ", *aside,
                             ", the state begins empty: ", decoded.status().message());
    }
  }
  return std::unique_ptr<StateFile>(new StateFile(loop, path, *std::move(lock), std::move(state), std::move(warning)));
}

StateFile::StateFile(EventLoop& loop, std::string path, FileLock lock, StateData loaded, std::string warning)
    : loop_(loop),
      path_(std::move(path)),
      lock_(std::move(lock)),
      loaded_(std::move(loaded)),
      warning_(std::move(warning)) {
  writer_.Run([this] {
    image_.term = loaded_.term;
    image_.agents = loaded_.agents;
    for (const auto& [id, record] : loaded_.services) image_.records.emplace(id, EncodeRecord(id, record));
  });
}

void StateFile::PutTerm(std::uint64_t term, Done done) { Put({term, std::move(done)}); }
void StateFile::PutAgents(Agents agents, Done done) { Put({std::move(agents), std::move(done)}); }
void StateFile::PutService(const model::ObjectId& id, std::optional<RecordedService> record, Done done) {
  Put({ServiceChange{id, std::move(record)}, std::move(done)});
}

void StateFile::Put(Change change) {
  pending_.push_back(std::move(change));
  if (writing_ || scheduled_) return;
  scheduled_ = true;
  loop_.Post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    scheduled_ = false;
    if (!writing_) WritePending();
  });
}

void StateFile::WritePending() {
  if (pending_.empty()) return;
  writing_ = true;
  writer_.Run(
      [this, batch = std::make_shared<Batch>(std::exchange(pending_, {})), alive = std::weak_ptr<bool>(alive_)] {
        const absl::Status status = WriteBatch(*batch);
        loop_.Post([this, batch, status, alive] {
          if (!alive.expired()) OnWritten(*batch, status);
        });
      });
}

absl::Status StateFile::WriteBatch(const Batch& batch) {
  const std::uint64_t old_term = image_.term;
  Agents old_agents = image_.agents;
  std::map<model::ObjectId, std::optional<std::string>> old_records;
  for (const Change& change : batch) {
    if (const auto* term = std::get_if<std::uint64_t>(&change.what)) {
      image_.term = *term;
    } else if (const auto* agents = std::get_if<Agents>(&change.what)) {
      image_.agents = *agents;
    } else {
      const auto& [id, record] = std::get<ServiceChange>(change.what);
      auto it = image_.records.find(id);
      old_records.try_emplace(id, it == image_.records.end() ? std::nullopt : std::make_optional(it->second));
      if (record) {
        image_.records.insert_or_assign(id, EncodeRecord(id, *record));
      } else if (it != image_.records.end()) {
        image_.records.erase(it);
      }
    }
  }
  absl::Status written = WriteFileAtomically(
      path_, [this](const ByteSink& out) { EncodeState(image_.term, image_.agents, image_.records, out); });
  if (written.ok()) return written;
  image_.term = old_term;
  image_.agents = std::move(old_agents);
  for (auto& [id, line] : old_records) {
    if (line) {
      image_.records.insert_or_assign(id, *std::move(line));
    } else {
      image_.records.erase(id);
    }
  }
  return written;
}

void StateFile::OnWritten(const Batch& batch, const absl::Status& status) {
  writing_ = false;
  const std::weak_ptr<bool> alive = alive_;
  for (const Change& change : batch) {
    if (alive.expired()) return;  // a callback may have called Finish
    if (change.done) change.done(status);
  }
  if (!alive.expired() && !scheduled_) WritePending();
}

void StateFile::Finish() {
  if (alive_ == nullptr) return;
  alive_.reset();
  writing_ = false;
  WritePending();
  writer_.Finish();
}

}  // namespace berth::files
