// SPDX-License-Identifier: Apache-2.0
#include "controller/files/files_source.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/obs/log.h"

namespace berth::files {
namespace {

constexpr absl::Duration kBusyRetry = absl::Milliseconds(100);
constexpr absl::Duration kTermRetry = absl::Seconds(1);

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "controller";
  return name.data();
}

ObjectKey ServiceKey(const model::ObjectId& id) { return {ObjectKind::kService, id}; }

}  // namespace

FilesSource::FilesSource(EventLoop& loop, Options options)
    : loop_(loop),
      folder_(std::move(options.folder)),
      state_folder_(std::move(options.state_folder)),
      leader_name_(options.leader_name.empty() ? HostName() : std::move(options.leader_name)) {}

absl::Status FilesSource::Start(Observer& observer) {
  ASSIGN_OR_RETURN(state_, StateFile::Open(loop_, state_folder_));
  FolderWatch::Callbacks callbacks;
  callbacks.on_changes = [this](FolderWatch::Changes changes) { RequestRead(std::move(changes)); };
  callbacks.on_lost = [this](absl::Status status) {
    folder_lost_ = true;
    folder_problem_ = absl::StrCat(status.message(), "; what it held before stays in force");
    ReportProblems();
  };
  watch_ = std::make_unique<FolderWatch>(loop_, folder_, std::move(callbacks));
  if (absl::Status watched = watch_->Start(); !watched.ok()) {
    watch_.reset();
    state_.reset();
    return watched;
  }
  observer_ = &observer;
  alive_ = std::make_shared<bool>(true);
  Seed();
  reader_ = std::make_unique<FolderReader>(folder_, catalog_.files());
  reading_ = std::make_unique<Worker>();
  want_term_ = state_->loaded().term + 1;
  WriteTerm();
  FolderWatch::Changes everything;
  everything.all = true;
  RequestRead(std::move(everything));
  return absl::OkStatus();
}

// What the state remembers of manifests is the last good content of their files, should those be unreadable now.
void FilesSource::Seed() {
  const StateData& state = state_->loaded();
  agents_ = state.agents;
  for (const auto& [id, record] : state.services) {
    services_[id].record = record;
    dirty_.insert(ServiceKey(id));
    if (record.spec != nullptr && IsManifestName(record.file)) {
      catalog_.Seed(record.file, ParsedObject{ServiceKey(id), 0, *record.spec});
      services_[id].record.spec = SpecOf(id);
    }
  }
  state_problem_ = state_->warning();
  folder_lost_ = !catalog_.files().empty();  // an empty folder would be news
}

void FilesSource::Stop() {
  if (alive_ == nullptr) return;
  alive_.reset();
  loop_.Cancel(busy_timer_);
  loop_.Cancel(term_timer_);
  watch_.reset();
  reading_->DropQueued();
  reading_.reset();
  state_.reset();
  observer_ = nullptr;
}

void FilesSource::PostAlive(std::function<void()> task) {
  loop_.Post([alive = std::weak_ptr<bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  });
}

// ---- manifests

void FilesSource::RequestRead(FolderWatch::Changes changes) {
  wanted_.all = wanted_.all || changes.all;
  wanted_.names.merge(changes.names);
  wanted_.being_written = std::move(changes.being_written);
  ReadNow();
}

void FilesSource::ReadNow() {
  if (read_running_ || (!wanted_.all && wanted_.names.empty())) return;
  read_running_ = true;
  FolderRequest request = std::exchange(wanted_, {});
  // After an outage every file may be another, and a folder without manifests is hardly meant.
  request.all = request.all || folder_lost_;
  request.distrust_empty = folder_lost_;
  reading_->Run([this, request = std::move(request), alive = std::weak_ptr<bool>(alive_)] {
    auto answer = std::make_shared<FolderAnswer>(reader_->Read(request));
    loop_.Post([this, answer, alive] {
      if (!alive.expired()) OnRead(std::move(*answer));
    });
  });
}

void FilesSource::OnRead(FolderAnswer answer) {
  read_running_ = false;
  if (!answer.status.ok()) {
    // The watch tells when to look again: it sees the folder go and come, and every file that appears in it.
    folder_lost_ = true;
    folder_problem_ = absl::StrCat(answer.status.message(), "; what it held before stays in force");
    ReportProblems();
    // A start with a folder that is not filled yet: what the state remembers is in force.
    if (absl::IsFailedPrecondition(answer.status) && !std::exchange(first_read_done_, true)) Flush();
    return ReadNow();
  }
  folder_lost_ = false;
  folder_problem_.clear();
  for (const std::string& name : answer.gone) catalog_.Remove(name);
  for (auto& [name, parsed] : answer.files) catalog_.Update(name, std::move(parsed));
  for (const ObjectKey& key : catalog_.TakeChanged()) OnManifestChanged(key);
  for (const auto& [kind, place] : catalog_.OtherKinds()) {
    if (other_kinds_told_.insert(kind).second) {
      LogInfo("manifests have objects of a kind that is ignored", {{"kind", kind}, {"first", place}});
    }
  }
  if (!answer.busy.empty()) {
    wanted_.names.merge(answer.busy);
    loop_.Cancel(busy_timer_);
    busy_timer_ = loop_.RunAfter(kBusyRetry, [this] { ReadNow(); });
  }
  first_read_done_ = true;
  ReportProblems();
  Flush();
  if (answer.busy.empty()) ReadNow();
}

void FilesSource::OnManifestChanged(const ObjectKey& key) {
  if (key.kind != ObjectKind::kService) return Show(key);
  const bool present = SpecOf(key.id) != nullptr;
  auto it = services_.find(key.id);
  if (it == services_.end()) {
    if (present) services_.try_emplace(key.id);
    return Show(key);
  }
  ++it->second.revision;
  if (it->second.in_flight) {
    it->second.spec_stale = true;
  } else if (it->second.recorded()) {
    RefreshSpec(key.id, it->second);
  } else if (!present) {
    services_.erase(it);
  }
  Show(key);
}

// Keeps the manifest in the record as new as the folder; a manifest that is gone stays in it.
void FilesSource::RefreshSpec(const model::ObjectId& id, Tracked& tracked) {
  std::shared_ptr<const model::Service> spec = SpecOf(id);
  std::string file = catalog_.FileOf(ServiceKey(id));
  if (spec == nullptr) return;
  const bool same = tracked.record.spec != nullptr && *tracked.record.spec == *spec && tracked.record.file == file;
  tracked.record.spec = std::move(spec);
  if (same) return;
  tracked.record.file = std::move(file);
  state_->PutService(id, tracked.record, [this](const absl::Status& status) { OnStateWritten(status); });
}

std::shared_ptr<const model::Service> FilesSource::SpecOf(const model::ObjectId& id) const {
  std::shared_ptr<const ParsedObject> object = catalog_.Find(ServiceKey(id));
  if (object == nullptr) return nullptr;
  const auto* service = &std::get<model::Service>(object->value);
  return {std::move(object), service};
}

// ---- writes

void FilesSource::WriteService(const model::ServiceWrite& write) {
  if (alive_ == nullptr) return;
  absl::Status begun = BeginWrite(write);
  if (absl::IsAlreadyExists(begun))
    begun = absl::OkStatus();  // nothing to write
  else if (begun.ok())
    return;  // OnRecorded answers
  const std::string revision = begun.ok() ? write.revision : "";
  PostAlive([this, id = write.write_id, begun, revision] { observer_->OnServiceWritten(id, begun, revision); });
}

absl::Status FilesSource::BeginWrite(const model::ServiceWrite& write) {
  auto it = services_.find(write.id);
  if (it == services_.end()) {
    return absl::NotFoundError(absl::StrCat("Service \"", write.id.ToString(), "\" is gone"));
  }
  Tracked& tracked = it->second;
  if (tracked.in_flight || write.revision != absl::StrCat(tracked.revision)) {
    return absl::AbortedError(absl::StrCat("Service \"", write.id.ToString(), "\" is at revision ", tracked.revision,
                                           ", not at ", write.revision));
  }
  RecordedService record;
  record.allocations = write.allocations;
  record.hold = write.hold;
  if (!record.allocations.empty() || record.hold) record.managed_by = write.managed_by;
  const RecordedService& old = tracked.record;
  if (record.allocations == old.allocations && record.hold == old.hold && record.managed_by == old.managed_by) {
    return absl::AlreadyExistsError("recorded already");
  }
  const std::shared_ptr<const model::Service> spec = SpecOf(write.id);
  record.spec = spec != nullptr ? spec : old.spec;
  record.file = spec != nullptr ? catalog_.FileOf(ServiceKey(write.id)) : old.file;
  const bool keep = !record.allocations.empty() || record.hold;
  tracked.in_flight = true;
  std::optional<RecordedService> kept = keep ? std::make_optional(record) : std::nullopt;
  state_->PutService(write.id, std::move(kept),
                     [this, id = write.id, write_id = write.write_id, record = std::move(record)](
                         const absl::Status& status) { OnRecorded(id, write_id, record, status); });
  return absl::OkStatus();
}

void FilesSource::OnRecorded(const model::ObjectId& id, std::uint64_t write_id, const RecordedService& record,
                             const absl::Status& status) {
  OnStateWritten(status);
  auto it = services_.find(id);  // stays while a write is in flight
  Tracked& tracked = it->second;
  tracked.in_flight = false;
  if (status.ok()) {
    tracked.record = record;
    ++tracked.revision;
  }
  const std::string revision = status.ok() ? absl::StrCat(tracked.revision) : "";
  if (!tracked.recorded()) {
    tracked.record = {};
    if (SpecOf(id) == nullptr) services_.erase(it);
  } else if (std::exchange(tracked.spec_stale, false)) {
    RefreshSpec(id, tracked);
  }
  Show(ServiceKey(id));
  observer_->OnServiceWritten(write_id, status, revision);
}

void FilesSource::OnStateWritten(const absl::Status& status) {
  std::string problem = state_->warning();
  if (!status.ok()) problem = absl::StrCat("state folder \"", state_folder_, "\": ", status.message());
  if (problem == state_problem_) return;
  state_problem_ = std::move(problem);
  PostAlive([this] { ReportProblems(); });
}

void FilesSource::RememberAgents(const std::vector<KnownAgent>& agents) {
  std::vector<KnownAgent> sorted = agents;
  std::sort(sorted.begin(), sorted.end(), [](const KnownAgent& a, const KnownAgent& b) { return a.node < b.node; });
  if (alive_ == nullptr || sorted == agents_) return;
  agents_ = std::move(sorted);
  ++agents_in_flight_;
  state_->PutAgents(agents_, [this](const absl::Status& status) {
    OnStateWritten(status);
    agents_written_ = status;
    if (--agents_in_flight_ > 0) return;
    for (const Remembered& done : std::exchange(awaiting_agents_, {})) done(status);
  });
}

void FilesSource::WhenRemembered(Remembered done) {
  if (agents_in_flight_ == 0) return done(agents_written_);
  awaiting_agents_.push_back(std::move(done));
}

void FilesSource::RecordEvent(const model::EventRecord& event) {
  const bool is_pool = event.kind == model::EventRecord::Kind::kPool;
  Log(event.warning ? LogLevel::kWarn : LogLevel::kInfo, event.message,
      {{"reason", event.reason},
       {is_pool ? "pool" : "service", is_pool ? event.object.name : event.object.ToString()}});
}

// ---- leadership

void FilesSource::RaiseTerm(std::uint64_t at_least) {
  if (alive_ == nullptr) return;
  if (at_least > want_term_) {
    want_term_ = at_least;
    return WriteTerm();
  }
  if (term_ >= want_term_) PostAlive([this] { TellLeadership(); });
}

void FilesSource::WriteTerm() {
  if (term_in_flight_) return;
  term_in_flight_ = true;
  state_->PutTerm(want_term_, [this, term = want_term_](const absl::Status& status) {
    term_in_flight_ = false;
    OnStateWritten(status);
    if (!status.ok()) {
      loop_.Cancel(term_timer_);
      term_timer_ = loop_.RunAfter(kTermRetry, [this] { WriteTerm(); });
      return;
    }
    term_ = term;
    if (want_term_ > term_) return WriteTerm();
    TellLeadership();
  });
}

void FilesSource::TellLeadership() { observer_->OnLeadership(true, term_, leader_name_); }

}  // namespace berth::files
