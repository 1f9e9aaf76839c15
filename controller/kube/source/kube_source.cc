// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/kube_source.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/obs/log.h"
#include "controller/kube/client/url.h"
#include "controller/kube/objects/finalizers.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr std::size_t kServicesOfOneTurn = 2000;  // agents are heard in between
constexpr absl::Duration kFetchRetry = absl::Seconds(1);
constexpr absl::Duration kResignWait = absl::Seconds(1);

}  // namespace

struct KubeSource::Collection {
  const char* resource;
  const char* path;
  bool for_addresses = true;  // nothing is decided before these have been listed
};

const std::map<KubeSource::Kind, KubeSource::Collection>& KubeSource::Collections() {
  static const std::map<Kind, Collection> kCollections = {
      {Kind::kServices, {"services", "/api/v1/services"}},
      {Kind::kSlices, {"endpointslices", "/apis/discovery.k8s.io/v1/endpointslices"}},
      {Kind::kNodes, {"nodes", "/api/v1/nodes"}},
      {Kind::kNamespaces, {"namespaces", "/api/v1/namespaces"}},
      {Kind::kPools, {"eips", "/apis/network.kubesphere.io/v1alpha2/eips"}},
      {Kind::kBgpConfs, {"bgpconfs", "/apis/network.kubesphere.io/v1alpha2/bgpconfs", false}},
      {Kind::kBgpPeers, {"bgppeers", "/apis/network.kubesphere.io/v1alpha2/bgppeers", false}}};
  return kCollections;
}

const KubeSource::Collection& KubeSource::CollectionOf(Kind kind) { return Collections().at(kind); }

bool KubeSource::AllListed() const {
  return std::all_of(Collections().begin(), Collections().end(),
                     [this](const auto& one) { return !one.second.for_addresses || listed_.count(one.first) != 0; });
}

KubeSource::KubeSource(EventLoop& loop, ApiClient& client, KubeSourceOptions options)
    : loop_(loop),
      client_(client),
      options_(std::move(options)),
      election_(
          loop, client, options_.lease, [this](const LeaseElection::Leadership& now) { OnLeadership(now); },
          [this](const absl::Status& status) { Problem("lease", status); }),
      events_(loop, client, options_.lease.identity, [this](const absl::Status& status) { Problem("events", status); }),
      writes_(client, [this] { return Window(); }),
      memory_(loop, client, writes_, options_.lease.ns,
              [this](const absl::Status& status) { Problem("agents", status); }),
      services_(loop, writes_,
                [this](const model::ObjectId& id, const std::string& revision) { return store_.RestAt(id, revision); }),
      pools_(loop, writes_, [this](const json& object) { OnObject(Kind::kPools, object); }),
      announced_(loop, writes_,
                 [this](const json& object) {
                   absl::StatusOr<ServiceObject> written = OrItsEnd(ReadService(object), object);
                   if (!written.ok()) return;
                   store_.PutWritten(*std::move(written));
                   Changed();
                 }),
      releases_(loop, writes_),
      crds_(loop, client, [this](const std::string& crd, const absl::Status& status) { Problem(crd, status); }) {}

WriteWindow KubeSource::Window() const { return {election_.write_deadline(), election_.write_end()}; }

absl::Status KubeSource::Start(Observer& observer) {
  observer_ = &observer;
  alive_ = std::make_shared<bool>(true);
  // Slices come after all Services: of those that need none they are not kept.
  for (const auto& [kind, collection] : Collections()) {
    if (kind != Kind::kSlices) Watch(kind);
  }
  election_.Start();
  crds_.Start();
  return absl::OkStatus();
}

void KubeSource::Stop() {
  if (alive_ == nullptr) return;
  alive_.reset();
  loop_.Cancel(std::exchange(resign_timer_, 0));
  crds_.Stop();
  releases_.Lead(false);
  followers_.clear();
  election_.StopLeading();
  observer_ = nullptr;
}

std::vector<KubeSource::KnownAgent> KubeSource::KnownAgents() const {
  std::vector<KnownAgent> known = memory_.known();
  if (listed_.count(Kind::kNodes) == 0) return known;
  known.erase(std::remove_if(known.begin(), known.end(), [this](const auto& one) { return !store_.HasNode(one.node); }),
              known.end());
  return known;
}

void KubeSource::PostAlive(std::function<void()> task) {
  loop_.Post([alive = std::weak_ptr<bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  });
}

// ---- what the API server says

KubeSource::Follower::Follower(KubeSource& source, Kind kind)
    : source_(source),
      kind_(kind),
      reflector_(source.loop_, source.client_,
                 {.resource = CollectionOf(kind).resource,
                  .path = CollectionOf(kind).path,
                  .random = source.options_.random,
                  .on_restart = [&source, kind] { source.options_.on_watch_restart(CollectionOf(kind).resource); }},
                 *this) {
  reflector_.Start();
}

void KubeSource::Follower::OnEvent(Reflector::Change change, const json& object) {
  if (change != Reflector::Change::kDeleted) return source_.OnObject(kind_, object);
  source_.OnDeleted(kind_, IdOf(object));
}

void KubeSource::Follower::OnProblem(const absl::Status& status) {
  const char* resource = CollectionOf(kind_).resource;
  if (absl::IsNotFound(status)) {
    return source_.Problem(resource, absl::NotFoundError(absl::StrCat(
                                         "the API server has no ", resource,
                                         " of network.kubesphere.io/v1alpha2: install Berth's CRDs (charts/berth)",
                                         kind_ == Kind::kPools ? "; nothing is given out before they are there" : "",
                                         " (", status.message(), ")")));
  }
  source_.Problem(resource, status);
}

void KubeSource::Watch(Kind kind) { followers_[kind] = std::make_unique<Follower>(*this, kind); }

void KubeSource::OnObject(Kind kind, const json& object) {
  switch (kind) {
    case Kind::kServices:
      store_.PutService(object);
      break;
    case Kind::kSlices:
      store_.PutSlice(object);
      break;
    case Kind::kNodes:
      store_.PutNode(object);
      break;
    case Kind::kNamespaces:
      store_.PutNamespace(object);
      break;
    case Kind::kPools:
      if (const PoolObject* pool = store_.PutPool(object)) {
        pools_.Show(*pool);
      } else {
        pools_.Gone(IdOf(object).name);
      }
      break;
    case Kind::kBgpConfs:
    case Kind::kBgpPeers:
      JudgeBgp(kind, IdOf(object).name, &object);
      break;
  }
  Changed();
}

void KubeSource::OnDeleted(Kind kind, const model::ObjectId& id) {
  switch (kind) {
    case Kind::kServices:
      store_.DropService(id);
      break;
    case Kind::kSlices:
      store_.DropSlice(id);
      break;
    case Kind::kNodes:
      store_.DropNode(id.name);
      break;
    case Kind::kNamespaces:
      store_.DropNamespace(id.name);
      break;
    case Kind::kPools:
      store_.DropPool(id.name);
      pools_.Gone(id.name);
      break;
    case Kind::kBgpConfs:
    case Kind::kBgpPeers:
      JudgeBgp(kind, id.name, nullptr);
      break;
  }
  Changed();
}

void KubeSource::JudgeBgp(Kind kind, const std::string& name, const json* object) {
  const auto of = kind == Kind::kBgpConfs ? model::EventRecord::Kind::kBgpConf : model::EventRecord::Kind::kBgpPeer;
  const ReleaseWriter::Collection released{CollectionOf(kind).resource, CollectionOf(kind).path, kLbFinalizer};
  absl::Status wrong;
  if (object != nullptr) {
    wrong = bgp_.Put(of, *object);
    releases_.Show(released, *object);
  } else {
    bgp_.Drop(of, name);
    releases_.Gone(released, name);
  }
  Problem(absl::StrCat(CollectionOf(kind).resource, "/", name), wrong);
}

void KubeSource::OnListed(Kind kind) {
  listed_.insert(kind);
  if (kind == Kind::kServices && followers_.count(Kind::kSlices) == 0) {
    store_.OnListed();
    Watch(Kind::kSlices);
  }
  Changed();
}

// One that needs its endpoints only now: the common list did not keep them.
void KubeSource::Fetch(const model::ObjectId& service) {
  ApiRequest request;
  request.verb = "list";
  request.resource = "endpointslices";
  request.path = absl::StrCat("/apis/discovery.k8s.io/v1/namespaces/", service.ns, "/endpointslices?labelSelector=",
                              EscapeQuery(absl::StrCat(model::kServiceNameLabel, "=", service.name)));
  client_.Do(std::move(request),
             [this, service, alive = std::weak_ptr<bool>(alive_)](const absl::StatusOr<ApiResponse>& response) {
               if (alive.expired()) return;
               Problem(absl::StrCat("endpoints of ", service.ToString()), response.status());
               if (!response.ok()) {
                 loop_.RunAfter(kFetchRetry, [this, service, alive] {
                   if (!alive.expired()) Fetch(service);
                 });
                 return;
               }
               store_.PutFetched(service, json::parse(response->body, nullptr, /*allow_exceptions=*/false));
               Changed();
             });
}

void KubeSource::Changed() {
  for (const model::ObjectId& service : store_.TakeFetches()) Fetch(service);
  if (std::exchange(flush_posted_, true)) return;
  PostAlive([this] { Flush(); });
}

void KubeSource::Flush() {
  flush_posted_ = false;
  ReportProblems();
  if (led_) {
    for (const BgpObjects::Invalid& invalid : bgp_.TakeUntold()) Record(invalid.event, invalid.uid);
  }
  if (!AllListed()) return;  // all at once, then
  const model::ClusterDelta delta = store_.TakeDelta(kServicesOfOneTurn);
  for (const model::ObjectId& service : delta.gone_services) announced_.Gone(service);
  for (const model::Service& service : delta.services) {
    announced_.Show(service.id, store_.UidOf(service.id), store_.UnannouncedOf(service.id));
  }
  const std::weak_ptr<bool> alive = alive_;
  if (!delta.empty()) observer_->OnDelta(delta);
  if (alive.expired()) return;
  if (store_.dirty()) return Changed();
  if (!synced_ && store_.fetching()) return;  // what a Service has is not free because its endpoints are not known yet
  if (!std::exchange(synced_, true)) observer_->OnSynced();
}

// ---- what is written

void KubeSource::WriteService(const model::ServiceWrite& write) {
  if (alive_ == nullptr) return;
  services_.Write(
      write, [this, id = write.write_id, alive = std::weak_ptr<bool>(alive_)](absl::StatusOr<ServiceObject> written) {
        if (!alive.expired()) OnWritten(id, std::move(written));
      });
}

void KubeSource::OnWritten(std::uint64_t write_id, absl::StatusOr<ServiceObject> written) {
  if (!written.ok()) return observer_->OnServiceWritten(write_id, written.status(), "");
  const std::string revision = written->service.revision;
  store_.PutWritten(*std::move(written));  // the next write builds on it, whether or not the watch has told of it
  observer_->OnServiceWritten(write_id, absl::OkStatus(), revision);
  if (alive_ != nullptr) Changed();
}

void KubeSource::WritePoolStatus(const model::PoolStatus& status) {
  if (alive_ != nullptr) pools_.Want(status);
}

void KubeSource::WriteUnannounced(const model::UnannouncedServices& services) {
  if (alive_ != nullptr) announced_.Want(services);
}

void KubeSource::RecordEvent(const model::EventRecord& event) { Record(event, store_.UidOf(event)); }

void KubeSource::Record(const model::EventRecord& event, const std::string& uid) {
  static const std::map<model::EventRecord::Kind, const char*> kNames = {
      {model::EventRecord::Kind::kService, "service"},
      {model::EventRecord::Kind::kPool, "pool"},
      {model::EventRecord::Kind::kBgpConf, "bgpconf"},
      {model::EventRecord::Kind::kBgpPeer, "bgppeer"}};
  Log(event.warning ? LogLevel::kWarn : LogLevel::kInfo, event.message,
      {{"reason", event.reason},
       {kNames.at(event.kind), event.object.ns.empty() ? event.object.name : event.object.ToString()}});
  if (alive_ != nullptr) events_.Record(event, uid);
}

// ---- leadership

void KubeSource::OnLeadership(const LeaseElection::Leadership& now) {
  if (alive_ == nullptr) return;
  releases_.Lead(now.leader);
  if (!now.leader) {
    memory_.Forget();
    pools_.Forget();
    announced_.Forget();
  }
  if (!now.leader || led_) return TellLeadership();
  // Whoever led before has met agents that we have not.
  const std::weak_ptr<bool> alive(alive_);
  memory_.Load(
      [this, term = now.term, alive] {
        if (!alive.expired() && election_.now().leader && election_.now().term >= term) TellLeadership();
      },
      [this, alive] {
        if (!alive.expired() && led_ && synced_) observer_->OnSynced();
      });
}

void KubeSource::TellLeadership() {
  const LeaseElection::Leadership& now = election_.now();
  if (std::exchange(led_, now.leader) != now.leader) options_.on_leadership(led_);
  if (alive_ == nullptr) return;
  if (now.leader) Changed();  // what is wrong is for the leader to tell
  observer_->OnLeadership(now.leader, now.term, now.leader_name);
}

void KubeSource::RaiseTerm(std::uint64_t at_least) {
  if (alive_ != nullptr) election_.RaiseTerm(at_least);
}

void KubeSource::RememberAgents(const std::vector<KnownAgent>& agents) {
  if (alive_ != nullptr && led_) memory_.Remember(agents);
}

void KubeSource::Resign(std::function<void()> done) {
  election_.StopLeading();
  auto release = [this, done = std::move(done)]() mutable {
    loop_.Cancel(std::exchange(resign_timer_, 0));
    writes_.on_idle = [] {};
    // What is still being written may yet land: then the Lease has to run out.
    if (writes_.in_flight() != 0) return done();
    election_.Release(std::move(done));
  };
  auto once = std::make_shared<std::function<void()>>(std::move(release));
  const auto now = [once] {
    if (auto call = std::exchange(*once, nullptr)) call();
  };
  if (writes_.in_flight() == 0) return now();
  writes_.on_idle = [this, now] { loop_.Post(now); };
  resign_timer_ = loop_.RunAfter(kResignWait, now);
}

// ---- problems

void KubeSource::Problem(const std::string& what, const absl::Status& status) {
  if (status.ok()) {
    if (source_problems_.erase(what) == 0) return;
  } else {
    std::string& text = source_problems_[what];
    std::string now = absl::StrCat("Kubernetes: ", status.message());
    if (text == now) return;
    text = std::move(now);
  }
  if (alive_ != nullptr) Changed();
}

void KubeSource::ReportProblems() {
  model::Problems problems = store_.problems();
  for (const auto& [what, text] : source_problems_) problems.texts.push_back(text);
  if (problems == problems_) return;
  const std::set<absl::string_view> old(problems_.texts.begin(), problems_.texts.end());
  for (const std::string& problem : problems.texts) {
    if (old.count(problem) == 0) LogWarn("problem with the cluster's objects", {{"problem", problem}});
  }
  problems_ = std::move(problems);
  observer_->OnProblems(problems_);
}

}  // namespace berth::kube
