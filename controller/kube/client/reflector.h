// SPDX-License-Identifier: Apache-2.0
// controller/kube/client/reflector.h -- follows all objects of a resource: a list, then what changes, through whatever
// goes wrong.
//
//   Reflector services(loop, client, {.resource = "services", .path = "/api/v1/services", .random = uniform},
//   observer); services.Start();
//
// Lists in pages, all of one moment, then watches from that moment on, with bookmarks. A watch that ends in its own
// time begins again at once where it was; one that fails does so after a while (100 ms doubling to 10 s, with jitter);
// only when the server has forgotten that place (410) is everything listed anew. What a list does not have any more,
// and was known, is told as vanished then; an outage alone never looks like a deletion. Keeps keys, not objects.
//
// Loop thread only. The observer may destroy the reflector from within a call.
#ifndef BERTH_CONTROLLER_KUBE_CLIENT_REFLECTOR_H_
#define BERTH_CONTROLLER_KUBE_CLIENT_REFLECTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/model/objects.h"

namespace berth::kube {

class Reflector {
 public:
  enum class Change : std::uint8_t { kAdded, kModified, kDeleted };

  // What it learns. The first OnListed says that everything is known. An object may be told again as it was, and one of
  // the same name may be another (uid). Items of built-in kinds' lists have no kind and apiVersion.
  class Observer {
   public:
    virtual ~Observer() = default;
    // One of a list, which may still fail and begin anew.
    virtual void OnObject(const nlohmann::json& object) = 0;
    // Known from earlier, and not in the list that has just ended: its deletion was missed.
    virtual void OnVanished(const model::ObjectId& id) = 0;
    // The list is complete.
    virtual void OnListed() = 0;
    // Of the watch. What was deleted comes as it last was.
    virtual void OnEvent(Change change, const nlohmann::json& object) = 0;
    // It goes wrong, and is tried again: told once, and when the reason changes; OK: it works again. NotFound: the
    // server has no such resource (a CustomResourceDefinition is missing); PermissionDenied names the missing verb and
    // the resource; others as in api_client.h.
    virtual void OnProblem(const absl::Status& status) = 0;
  };

  struct Options {
    std::string resource;  // "services": for metrics and messages
    std::string path;      // "/api/v1/services"
    std::string label_selector = "";
    std::string field_selector = "";
    std::function<double()> random;  // evenly from [0, 1): jitter
    int page = 500;
    absl::Duration min_backoff = absl::Milliseconds(100), max_backoff = absl::Seconds(10);
    // At most while the server cannot be reached or is just starting: news must not wait for long after an outage, and
    // there are only two or three of us.
    absl::Duration max_away_backoff = absl::Seconds(2);
    // A watch or list failed, or the server forgot our place; for berth_watch_restarts_total{resource}.
    std::function<void()> on_restart = nullptr;
  };

  Reflector(EventLoop& loop, ApiClient& client, Options options, Observer& observer);
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  void Start();  // once

  bool listed() const { return listed_; }                   // everything was known at some time
  const absl::Status& problem() const { return problem_; }  // OK while it works
  const std::string& version() const { return version_; }   // up to which it knows, empty before the first list
  const absl::btree_set<model::ObjectId>& keys() const { return keys_; }

 private:
  enum class Next : std::uint8_t { kList, kWatch };

  void Proceed();
  void List(const std::string& token);
  void OnPage(const std::string& token, absl::StatusOr<ApiResponse> response);
  bool TakePage(nlohmann::json& page);  // false: destroyed meanwhile
  void FinishList(std::string version);
  void Watch();
  void OnLine(absl::string_view line);
  void OnErrorLine(const std::string& object);
  void OnEnd(const absl::Status& status);
  void Fail(const absl::Status& status, Next next);
  void Works();
  void Retry(Next next, const absl::Status& status = absl::OkStatus());
  std::string Query() const;
  ApiRequest Request(const char* verb, std::string path) const;

  EventLoop& loop_;
  ApiClient& client_;
  const Options options_;
  Observer& observer_;

  RequestId request_ = 0;
  TimerId retry_timer_ = 0;
  int failures_ = 0;        // in a row
  int expired_lists_ = 0;   // in a row, by their tokens
  absl::Time begun_;        // the list or watch that runs
  bool got_lines_ = false;  // from that watch
  bool listed_ = false;
  Next next_ = Next::kList;
  std::string version_;
  absl::Status problem_;
  absl::btree_set<model::ObjectId> keys_, listing_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace berth::kube

#endif  // BERTH_CONTROLLER_KUBE_CLIENT_REFLECTOR_H_
