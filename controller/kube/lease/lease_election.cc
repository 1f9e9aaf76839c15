// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/lease/lease_election.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

constexpr char kTermAnnotation[] = "berth.io/term";
constexpr char kUninstallAnnotation[] = "berth.io/uninstall";
constexpr char kApiVersion[] = "coordination.k8s.io/v1";
constexpr absl::Duration kRequestTimeout = absl::Seconds(2);
constexpr absl::Duration kReleaseWait = absl::Seconds(1);
constexpr absl::Duration kWriteMargin = absl::Seconds(1);
constexpr absl::Duration kUninstallPatience = absl::Seconds(30);

std::uint64_t TermOf(const json& lease) {
  std::uint64_t term = 0;
  const std::string text = StringAt(MapAt(MapAt(lease, "metadata"), "annotations"), kTermAnnotation);
  return absl::SimpleAtoi(text, &term) ? term : 0;
}

std::int64_t TransitionsOf(const json& lease) {
  const json& spec = MapAt(lease, "spec");
  const auto it = spec.find("leaseTransitions");
  return it != spec.end() && it->is_number_integer() ? it->get<std::int64_t>() : 0;
}

}  // namespace

LeaseElection::LeaseElection(EventLoop& loop, ApiClient& client, LeaseOptions options, OnChange on_change,
                             OnProblem on_problem)
    : loop_(loop),
      client_(client),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      on_problem_(std::move(on_problem)) {}

LeaseElection::~LeaseElection() {
  alive_.reset();
  client_.Cancel(request_);
  for (const TimerId timer : {step_timer_, deadline_timer_, release_timer_}) loop_.Cancel(timer);
}

void LeaseElection::Start() { StepAfter(absl::ZeroDuration()); }

absl::Time LeaseElection::write_deadline() const {
  return leading_ ? held_since_ + options_.renew_deadline : absl::InfinitePast();
}

absl::Time LeaseElection::write_end() const {
  return leading_ ? held_since_ + options_.duration - kWriteMargin : absl::InfinitePast();
}

std::string LeaseElection::Collection() const {
  return absl::StrCat("/apis/", kApiVersion, "/namespaces/", options_.ns, "/leases");
}

ApiClient::Done LeaseElection::Alive(std::function<void(const absl::StatusOr<ApiResponse>&)> then) {
  return [this, alive = std::weak_ptr<bool>(alive_), then = std::move(then)](absl::StatusOr<ApiResponse> response) {
    if (alive.expired()) return;
    request_ = 0;
    if (!stopped_) {
      then(response);
      if (!alive.expired() && std::exchange(missed_step_, false)) StepAfter(absl::ZeroDuration());
      return;
    }
    if (response.ok()) See(response->body).IgnoreError();
    if (on_released_) ReleaseNow();
  };
}

// ---- one look or write after the other

void LeaseElection::StepAfter(absl::Duration delay) {
  loop_.Cancel(step_timer_);
  step_timer_ = loop_.RunAfter(delay, [this] { Step(); });
}

void LeaseElection::Step() {
  step_timer_ = 0;
  if (stopped_) return;
  missed_step_ = request_ != 0;  // made up for when that has ended
  if (missed_step_) return;
  StepAfter(options_.retry);
  if (leading_ && !must_read_) {
    Renew();
  } else {
    Read();
  }
}

void LeaseElection::Read() {
  ApiRequest request;
  request.verb = "get";
  request.resource = "leases";
  request.path = absl::StrCat(Collection(), "/", options_.name);
  request.urgency = Urgency::kLease;
  request.timeout = kRequestTimeout;
  request_ = client_.Do(std::move(request),
                        Alive([this, began = loop_.Now()](const absl::StatusOr<ApiResponse>& r) { OnRead(began, r); }));
}

void LeaseElection::OnRead(absl::Time began, const absl::StatusOr<ApiResponse>& response) {
  if (absl::IsNotFound(response.status())) {
    Problem(absl::OkStatus());
    must_read_ = false;
    exists_ = false;
    // Whoever led under a Lease that was deleted may think for a while that it still does.
    const bool free = !Retired() && (leading_ || !options_.elect || began >= seen_.since + options_.duration);
    if (free) Take();
    return;
  }
  absl::Status status = response.status();
  if (status.ok()) status = See(response->body);
  Problem(status);
  if (!status.ok()) return Tell();
  must_read_ = false;
  exists_ = true;
  const bool mine = seen_.holder == options_.identity;
  const absl::Time attempt = std::exchange(attempt_, absl::InfinitePast());
  if (leading_) {
    if (!mine || seen_.term != term_) {
      StepDown();
    } else {
      Renew();
    }
  } else if (mine && attempt != absl::InfinitePast() && seen_.term == wanted_term_) {
    Lead(attempt, seen_.term);  // the write that took it has been done after all
  } else if (mine || seen_.holder.empty() || !options_.elect || began >= seen_.since + options_.duration) {
    Take();
  }
  Tell();
}

// Keeps what the Lease says; `since` moves only when it says something else than before.
absl::Status LeaseElection::See(const std::string& body) {
  auto object = std::make_unique<json>(json::parse(body, nullptr, /*allow_exceptions=*/false));
  if (!object->is_object()) return absl::InternalError("the Lease as the API server sent it is no JSON object");
  std::string revision = StringAt(MapAt(*object, "metadata"), "resourceVersion");
  if (seen_.object == nullptr || revision != seen_.revision) seen_.since = loop_.Now();
  seen_.revision = std::move(revision);
  seen_.holder = StringAt(MapAt(*object, "spec"), "holderIdentity");
  seen_.term = TermOf(*object);
  seen_.uninstall = StringAt(MapAt(MapAt(*object, "metadata"), "annotations"), kUninstallAnnotation);
  if (!std::exchange(seen_once_, true)) first_uninstall_ = seen_.uninstall;
  seen_.object = std::move(object);
  highest_term_ = std::max(highest_term_, seen_.term);
  if (!Retired()) return absl::OkStatus();
  if (leading_) StepDown();
  return absl::FailedPreconditionError("Berth is being uninstalled: this controller does not lead");
}

// Whether an uninstallation that began since we came goes on, or is done. One that failed has taken its mark away; one
// that was killed has not, but it still claims the Lease and renews it no more.
bool LeaseElection::Retired() const {
  if (!options_.uninstall.empty() || seen_.uninstall.empty() || seen_.uninstall == first_uninstall_) return false;
  return seen_.holder.empty() || loop_.Now() < seen_.since + kUninstallPatience;
}

// ---- writes

void LeaseElection::Take() {
  if (leading_) return Write(options_.identity, term_, false);  // it was deleted under us
  Write(options_.identity, std::max(highest_term_ + 1, wanted_term_), true);
}

void LeaseElection::Renew() { Write(options_.identity, std::max(term_, wanted_term_), false); }

void LeaseElection::Write(const std::string& holder, std::uint64_t term, bool taken) {
  const absl::Time began = loop_.Now();
  const std::string now = Rfc3339Micro(loop_.WallNow());
  json lease = exists_ && seen_.object != nullptr ? *seen_.object : json::object();
  if (!exists_) {
    lease["metadata"] = {{"name", options_.name}, {"namespace", options_.ns}};
  }
  lease["apiVersion"] = kApiVersion;
  lease["kind"] = "Lease";
  json& metadata = MapIn(lease, "metadata");
  metadata.erase("managedFields");
  json& annotations = MapIn(metadata, "annotations");
  annotations[kTermAnnotation] = absl::StrCat(term);
  if (!options_.uninstall.empty() && !abandoned_) {
    annotations[kUninstallAnnotation] = options_.uninstall;
  } else {
    annotations.erase(kUninstallAnnotation);  // of one before our time, or that failed
  }
  json& spec = MapIn(lease, "spec");
  if (taken) {
    spec["acquireTime"] = now;
    spec["leaseTransitions"] = TransitionsOf(lease) + 1;
  }
  spec["holderIdentity"] = holder;
  spec["leaseDurationSeconds"] = absl::ToInt64Seconds(options_.duration);
  spec["renewTime"] = now;
  if (taken) {
    wanted_term_ = term;
    attempt_ = began;
  }

  ApiRequest request;
  request.verb = exists_ ? "update" : "create";
  request.resource = "leases";
  request.method = exists_ ? Method::kPut : Method::kPost;
  request.path = exists_ ? absl::StrCat(Collection(), "/", options_.name) : Collection();
  request.content_type = kJson;
  request.body = lease.dump(-1, ' ', false, json::error_handler_t::replace);
  request.urgency = Urgency::kLease;
  request.timeout = kRequestTimeout;
  if (leading_) request.not_after = write_deadline();
  const bool creates = !exists_;
  request_ = client_.Do(std::move(request), Alive([this, began, creates, term](const absl::StatusOr<ApiResponse>& r) {
                          OnWritten(began, creates, term, r);
                        }));
}

void LeaseElection::OnWritten(absl::Time began, bool creates, std::uint64_t term,
                              const absl::StatusOr<ApiResponse>& response) {
  absl::Status status = response.status();
  if (status.ok()) status = See(response->body);
  if (status.ok()) {
    Problem(status);
    exists_ = true;
    attempt_ = absl::InfinitePast();
    if (seen_.holder == options_.identity && seen_.term == term) return Lead(began, term);
    must_read_ = true;  // not what we wrote
    return StepAfter(absl::ZeroDuration());
  }
  must_read_ = true;
  const bool lost_race = absl::IsAborted(status) || (creates && absl::IsAlreadyExists(status));
  if (lost_race) attempt_ = absl::InfinitePast();
  const bool gone = !creates && absl::IsNotFound(status);
  Problem(lost_race || gone ? absl::OkStatus() : status);
  // Somebody has changed it, or it is gone: what it is now is worth knowing at once.
  if (lost_race || gone) StepAfter(absl::ZeroDuration());
}

// ---- what follows

void LeaseElection::Lead(absl::Time since, std::uint64_t term) {
  if (stopped_) return;
  if (loop_.Now() >= since + options_.renew_deadline) {  // answered too late to be of use
    must_read_ = true;
    return StepDown();
  }
  tell_again_ = tell_again_ || (leading_ && term > term_);
  leading_ = true;
  term_ = term;
  wanted_term_ = std::max(wanted_term_, term);
  held_since_ = since;
  loop_.Cancel(deadline_timer_);
  deadline_timer_ = loop_.RunAt(write_deadline(), [this] {
    deadline_timer_ = 0;
    StepDown();
  });
  if (wanted_term_ > term_) StepAfter(absl::ZeroDuration());
  Tell();
}

void LeaseElection::StepDown() {
  loop_.Cancel(std::exchange(deadline_timer_, 0));
  leading_ = false;
  must_read_ = true;
  Tell();
}

void LeaseElection::RaiseTerm(std::uint64_t at_least) {
  wanted_term_ = std::max(wanted_term_, at_least);
  if (!leading_) return;
  if (term_ >= at_least) {
    tell_again_ = true;
    return Tell();
  }
  StepAfter(absl::ZeroDuration());
}

void LeaseElection::Tell() {
  if (std::exchange(tell_posted_, true)) return;
  loop_.Post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    tell_posted_ = false;
    Leadership now{leading_, leading_ ? term_ : highest_term_, leading_ ? options_.identity : seen_.holder};
    if (!leading_ && now.leader_name == options_.identity) now.leader_name.clear();
    // Renewals of others are no news, only who they are.
    const bool same =
        now.leader == told_.leader && now.leader_name == told_.leader_name && (!now.leader || now == told_);
    if (same && !std::exchange(tell_again_, false)) return;
    tell_again_ = false;
    told_ = now;
    on_change_(told_);
  });
}

void LeaseElection::Problem(const absl::Status& status) {
  if (status == problem_) return;
  problem_ = status;
  on_problem_(status);
}

// ---- the end

void LeaseElection::StopLeading() {
  if (std::exchange(stopped_, true)) return;
  held_ = leading_;
  loop_.Cancel(std::exchange(step_timer_, 0));
  StepDown();
}

void LeaseElection::Release(std::function<void()> done) {
  StopLeading();
  on_released_ = std::move(done);
  release_timer_ = loop_.RunAfter(kReleaseWait, [this] { Released(); });
  if (request_ == 0) ReleaseNow();  // else when it has ended: its answer has the revision to build on
}

void LeaseElection::Abandon(std::function<void()> done) {
  abandoned_ = true;
  Release(std::move(done));
}

void LeaseElection::ReleaseNow() {
  if (!std::exchange(held_, false) || !exists_ || seen_.holder != options_.identity) return Released();
  Write("", seen_.term, false);
}

void LeaseElection::Released() {
  loop_.Cancel(std::exchange(release_timer_, 0));
  if (on_released_) loop_.Post(std::exchange(on_released_, nullptr));
}

}  // namespace berth::kube
