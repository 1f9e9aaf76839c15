// SPDX-License-Identifier: Apache-2.0
// controller/kube/write/release_writer.h -- takes a finalizer off objects that are being deleted and that nothing of
// ours depends on, so that they can go.
//
//   ReleaseWriter releases(loop, writes);
//   releases.Lead(true);
//   releases.Show({"bgppeers", "/apis/network.kubesphere.io/v1alpha2/bgppeers", kLbFinalizer}, object);
//
// Level-triggered: whoever leads does it for all that are shown, until each is gone or bears it no more. Nothing is
// kept of other objects. Each patch is conditional on the object's revision. Loop thread only.
#ifndef BERTH_CONTROLLER_KUBE_WRITE_RELEASE_WRITER_H_
#define BERTH_CONTROLLER_KUBE_WRITE_RELEASE_WRITER_H_

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/write/writes.h"

namespace berth::kube {

class ReleaseWriter {
 public:
  ReleaseWriter(EventLoop& loop, Writes& writes) : loop_(loop), writes_(writes) {}
  ~ReleaseWriter();
  ReleaseWriter(const ReleaseWriter&) = delete;
  ReleaseWriter& operator=(const ReleaseWriter&) = delete;

  struct Collection {
    const char* resource;   // "bgppeers"
    const char* path;       // of all of them
    const char* finalizer;  // all of static life
  };
  // An object without a namespace as the API server has it now, or that it is gone.
  void Show(const Collection& collection, const nlohmann::json& object);
  void Gone(const Collection& collection, const std::string& name);
  // Nothing is written by who does not lead.
  void Lead(bool leading);

 private:
  using Key = std::pair<std::string, std::string>;  // resource, name
  struct Entry {
    Collection collection;
    std::string revision;
    std::vector<std::string> others;  // finalizers that stay
    bool busy = false;
    bool failing = false;  // as the log was told
    TimerId timer = 0;
  };

  void Sync(const Key& key);
  void OnAnswer(const Key& key, const std::string& revision, const absl::Status& status);
  void Drop(const Key& key);

  EventLoop& loop_;
  Writes& writes_;
  bool leading_ = false;
  std::map<Key, Entry> entries_;  // being deleted, and bearing the finalizer
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_WRITE_RELEASE_WRITER_H_
