// SPDX-License-Identifier: Apache-2.0
// controller/core/pools.h -- Eips: which are in force, which edits are refused, and what each one's status says.
//
// A pool that breaks a rule (plan/validate.h) never comes into force; an edit that breaks one leaves the last good
// content in force. Statuses are derived, coalesced to one a second for each pool; where only the users of a pool with
// thousands of them come and go to fewer, since each writes the whole list. Loop thread only.
#ifndef BERTH_CONTROLLER_CORE_POOLS_H_
#define BERTH_CONTROLLER_CORE_POOLS_H_

#include <functional>
#include <map>
#include <set>
#include <string>

#include "controller/core/context.h"
#include "controller/model/source.h"

namespace berth::core {

class Pools {
 public:
  // `usable`: whether an agent in contact can serve addresses of this interface rule.
  Pools(Context& context, std::function<bool(const model::Pool&)> usable) : ctx_(context), usable_(std::move(usable)) {}

  // Returns whether anything in force, or refused, changed.
  bool Apply(const model::ClusterDelta& delta);
  // Eips that the source could not read in any version, with what is wrong. Returns whether that is news.
  bool SetUnread(std::map<std::string, std::string> unread);
  // The gate is about to open: of Eips that exclude each other the one that addresses on record were given from comes
  // into force, as it was before, whichever of them happened to be read first.
  void Restore(const std::set<std::string>& on_record);
  // An edit that was refused for the sake of an address in use may be right once that is let go. Returns whether
  // anything in force changed.
  bool Reconsider();
  bool reconsider() const { return reconsider_; }  // whether there is anything to
  // Something that the pool's status shows changed.
  void Touch(const std::string& pool);
  void TouchOf(const IpAddr& address);
  void TouchAll();
  // The gate opened: every pool's status is due, whatever an earlier term wrote.
  void Begin();
  const std::map<std::string, model::Pool>& shown() const { return shown_; }
  // Why the shown pool is not in force as shown, or what else people should know; empty when all is well.
  std::string MessageOf(const std::string& pool) const;
  // The same without what is only good to know.
  std::string TroubleOf(const std::string& pool) const;
  model::PoolStatus StatusOf(const std::string& pool) const;

 private:
  bool TellRefused();
  // `news`: the pool is shown anew, so that another refusal is worth an Event.
  bool Accept(const model::Pool& pool, bool news);
  bool KeepButFor(model::Pool kept, const model::Pool& shown);
  bool ReconsiderAll();
  void Tell(const std::string& name, const char* reason, std::string message);
  void TellDeletion(const std::string& name);
  std::string DeletionOf(const model::Pool& pool) const;
  std::vector<std::string> ExcludedOf(const model::Pool& pool) const;
  void Write();

  Context& ctx_;
  std::function<bool(const model::Pool&)> usable_;
  std::map<std::string, model::Pool> shown_;    // as the source shows them
  std::map<std::string, std::string> refused_;  // pool -> why it is not in force as shown
  std::map<std::string, std::string> unread_;   // pool -> why the source has no good version of it
  struct Written {
    model::PoolStatus status;
    absl::Time at;
  };
  std::map<std::string, Written> written_;  // in this term: the same is not written again
  std::set<std::string> touched_;
  std::set<std::string> waits_;  // whose deletion waits for users, and has been told of in this term
  bool reconsider_ = false;
  TimerQueue::Id timer_ = 0;
};

}  // namespace berth::core

#endif  // BERTH_CONTROLLER_CORE_POOLS_H_
