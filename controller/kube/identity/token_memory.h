// SPDX-License-Identifier: Apache-2.0
// controller/kube/identity/token_memory.h -- what an API server has said about tokens, for a while. Knows tokens by
// their SHA-256 only. A value: no clock, no I/O.
#ifndef BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_MEMORY_H_
#define BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_MEMORY_H_

#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace berth::kube {

class TokenMemory {
 public:
  // At most `max` tokens that were good, and as many that were not, so that no flood of bad ones makes it forget a good
  // one. Where there is no room the one reviewed longest ago goes.
  explicit TokenMemory(std::size_t max) : max_(max) {}

  struct Good {
    std::string node;
    absl::Time reviewed, expires;
  };
  struct Bad {
    absl::Status why;
    absl::Time reviewed, expires;
  };
  // Nothing that has expired at `now`; the pointer holds until the next change.
  const Good* FindGood(const std::string& key, absl::Time now) const { return Find(good_, key, now); }
  const Bad* FindBad(const std::string& key, absl::Time now) const { return Find(bad_, key, now); }
  void SetGood(const std::string& key, Good good) {
    bad_.erase(key);
    Set(good_, key, std::move(good));
  }
  void SetBad(const std::string& key, Bad bad) {
    good_.erase(key);
    Set(bad_, key, std::move(bad));
  }
  std::size_t size() const { return good_.size() + bad_.size(); }

 private:
  template <typename T>
  static const T* Find(const std::map<std::string, T>& map, const std::string& key, absl::Time now) {
    const auto it = map.find(key);
    return it == map.end() || now >= it->second.expires ? nullptr : &it->second;
  }
  template <typename T>
  void Set(std::map<std::string, T>& map, const std::string& key, T value) {
    if (map.size() >= max_ && map.find(key) == map.end()) {
      auto oldest = map.begin();
      for (auto it = map.begin(); it != map.end(); ++it) {
        if (it->second.reviewed < oldest->second.reviewed) oldest = it;
      }
      map.erase(oldest);
    }
    map.insert_or_assign(key, std::move(value));
  }

  const std::size_t max_;
  std::map<std::string, Good> good_;
  std::map<std::string, Bad> bad_;
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_IDENTITY_TOKEN_MEMORY_H_
