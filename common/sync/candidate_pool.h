// SPDX-License-Identifier: Apache-2.0
// common/sync/candidate_pool.h -- makes lists of candidates that are alike one list, so that ten thousand addresses
// hold a few.
#ifndef BERTH_COMMON_SYNC_CANDIDATE_POOL_H_
#define BERTH_COMMON_SYNC_CANDIDATE_POOL_H_

#include <algorithm>
#include <cstddef>
#include <set>

#include "common/sync/messages.h"

namespace berth::sync {

class CandidatePool {
 public:
  // The list that was given first of all that equal `list`.
  CandidateList Share(CandidateList list) {
    if (list.empty()) return list;
    if (lists_.size() >= trim_at_) {
      std::erase_if(lists_, [](const CandidateList& l) { return !l.shared(); });
      trim_at_ = std::max(kLeast, 2 * lists_.size());
    }
    return *lists_.insert(std::move(list)).first;
  }
  std::size_t size() const { return lists_.size(); }

 private:
  static constexpr std::size_t kLeast = 64;
  std::set<CandidateList> lists_;
  std::size_t trim_at_ = kLeast;
};

}  // namespace berth::sync

#endif  // BERTH_COMMON_SYNC_CANDIDATE_POOL_H_
