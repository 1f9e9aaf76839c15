// SPDX-License-Identifier: Apache-2.0
// controller/kube/lease/lease_election.h -- who leads, by a Lease (coordination.k8s.io/v1), and under which term.
//
//   LeaseElection election(loop, client, options, [](const Leadership& now) { ... });
//   election.Start();
//   if (loop.Now() < election.write_deadline()) ...   // a write may begin
//
// The term is a number in the Lease's annotation berth.io/term. It grows with each change of the leader, in the same
// write that makes the change, so no two leaders ever have the same one; a leader may raise it (RaiseTerm). All times
// are this process's monotonic ones: what others wrote into the Lease is compared, never believed, so clocks that are
// wrong do no harm. An uninstallation takes the Lease and writes so into it (annotation berth.io/uninstall):
// controllers that run then lead no more unless it fails, those that start later do. One that fails takes the
// annotation off again; one that is killed counts as failed once it has not renewed the Lease for 30 s. Loop thread
// only.
#ifndef BERTH_CONTROLLER_KUBE_LEASE_LEASE_ELECTION_H_
#define BERTH_CONTROLLER_KUBE_LEASE_LEASE_ELECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"

namespace berth::kube {

struct LeaseOptions {
  std::string ns;  // of the Lease
  std::string name = "berth-controller";
  std::string identity;                              // of this process: unique, also among its restarts
  std::string uninstall;                             // not empty: whoever leads now, or could, shall lead no more
  bool elect = true;                                 // false: take the Lease from whoever has it
  absl::Duration duration = absl::Seconds(6);        // others take a Lease that has not changed for so long
  absl::Duration renew_deadline = absl::Seconds(4);  // a leader that could not renew for so long leads no more
  absl::Duration retry = absl::Seconds(1);           // between two looks, or renewals
};

class LeaseElection {
 public:
  struct Leadership {
    bool leader = false;
    std::uint64_t term = 0;   // ours when we lead; else the newest known
    std::string leader_name;  // empty when nobody leads
    friend bool operator==(const Leadership&, const Leadership&) = default;
  };
  // `on_change` is called in a turn of its own whenever that changes, and after each RaiseTerm. `on_problem` whenever
  // the Lease cannot be read or written, and with OK once it can again.
  using OnChange = std::function<void(const Leadership&)>;
  using OnProblem = std::function<void(const absl::Status&)>;

  LeaseElection(EventLoop& loop, ApiClient& client, LeaseOptions options, OnChange on_change, OnProblem on_problem);
  ~LeaseElection();
  LeaseElection(const LeaseElection&) = delete;
  LeaseElection& operator=(const LeaseElection&) = delete;

  void Start();
  // Leads no more, and never again; keeps the Lease, so that nobody else leads while writes are under way.
  void StopLeading();
  // After StopLeading: leaves the Lease to others, if the API server can be reached within a second; then `done`.
  void Release(std::function<void()> done);
  // As Release, of an uninstallation that has failed: whoever led before may lead again.
  void Abandon(std::function<void()> done);
  // No write of a leader may begin later than this; the infinite past when we do not lead.
  absl::Time write_deadline() const;
  // Every write of a leader that begins now must have ended by then: a second before others can take over.
  absl::Time write_end() const;
  // Makes the term at least `at_least`, in the Lease first.
  void RaiseTerm(std::uint64_t at_least);
  const Leadership& now() const { return told_; }

 private:
  // The Lease as last seen.
  struct Seen {
    std::unique_ptr<nlohmann::json> object;
    std::string revision, holder, uninstall;
    std::uint64_t term = 0;
    absl::Time since = absl::InfinitePast();  // when it was first seen like this
  };

  void StepAfter(absl::Duration delay);
  void Step();
  void Read();
  void OnRead(absl::Time began, const absl::StatusOr<ApiResponse>& response);
  void Take();
  void Renew();
  void Write(const std::string& holder, std::uint64_t term, bool taken);
  void OnWritten(absl::Time began, bool creates, std::uint64_t term, const absl::StatusOr<ApiResponse>& response);
  absl::Status See(const std::string& body);
  void Lead(absl::Time since, std::uint64_t term);
  void StepDown();
  void Tell();
  void Problem(const absl::Status& status);
  void ReleaseNow();
  bool Retired() const;
  void Released();
  std::string Collection() const;
  std::function<void(absl::StatusOr<ApiResponse>)> Alive(std::function<void(const absl::StatusOr<ApiResponse>&)> then);

  EventLoop& loop_;
  ApiClient& client_;
  const LeaseOptions options_;
  const OnChange on_change_;
  const OnProblem on_problem_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  Seen seen_;
  bool exists_ = false;  // as far as we know
  bool leading_ = false;
  bool missed_step_ = false;
  bool must_read_ = true;   // the object's revision is not known
  std::uint64_t term_ = 0;  // ours
  std::uint64_t wanted_term_ = 0;
  std::uint64_t highest_term_ = 0;                // ever seen
  absl::Time held_since_ = absl::InfinitePast();  // when the last renewal that succeeded was begun
  absl::Time attempt_ = absl::InfinitePast();     // when a write of unknown outcome was begun
  RequestId request_ = 0;
  TimerId step_timer_ = 0, deadline_timer_ = 0, release_timer_ = 0;
  bool stopped_ = false;
  bool held_ = false;       // the Lease is ours when StopLeading is called
  bool abandoned_ = false;  // the uninstallation has failed
  std::function<void()> on_released_;
  bool seen_once_ = false;
  std::string first_uninstall_;  // what the Lease said of that when we came
  bool tell_again_ = false;
  bool tell_posted_ = false;
  Leadership told_;
  absl::Status problem_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_LEASE_LEASE_ELECTION_H_
