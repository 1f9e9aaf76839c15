// SPDX-License-Identifier: Apache-2.0
// tests/fakes/kube/fake_api_server.h -- an API server in virtual time, and clients of it.
//
//   FakeApiServer server(loop);
//   FakeApiClient client(server, "controller-1", process_loop);   // an ApiClient; one for each process
//   server.store().Put(...);                                      // what kubectl does: at once, without faults
//   server.faults = [](const FakeApiServer::Seen& seen) { ... };  // what goes wrong with a request
//
// Requests take kLatency each way. Lists come in pages that are consistent, with continue tokens; watches begin at a
// revision, send bookmarks each minute and as they end, and say 410 in a line after compaction; items of lists have
// their kind only where they are custom, as with the real one. RBAC, tokens, outages and silence are the test's.
#ifndef BERTH_TESTS_FAKES_KUBE_FAKE_API_SERVER_H_
#define BERTH_TESTS_FAKES_KUBE_FAKE_API_SERVER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/event_loop.h"
#include "controller/kube/client/api_client.h"
#include "tests/fakes/kube/api_path.h"
#include "tests/fakes/kube/api_store.h"
#include "tests/fakes/kube/selector.h"

namespace berth::kube {

class FakeApiClient;

class FakeApiServer {
 public:
  static constexpr absl::Duration kLatency = absl::Milliseconds(1);  // one way
  static constexpr absl::Duration kBookmarks = absl::Minutes(1);     // of a watch that asked for them
  static constexpr absl::Duration kDeadAfter = absl::Seconds(10);    // of silence, a client gives up its connection

  explicit FakeApiServer(EventLoop& loop);  // the loop that all processes share
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  ApiStore& store() { return store_; }

  struct Seen {
    const std::string& client;
    const std::string& verb;  // as RBAC has it
    std::string resource;     // "services", "services/status"
    const ApiPath& path;
    const ApiRequest& request;
  };
  struct Fault {
    enum class Kind : std::uint8_t {
      kNone,
      kRefuse,       // answered with `code` and `message`, not looked at
      kLoseRequest,  // the connection ends before the server has seen it
      kLoseAnswer,   // the connection ends after the server has done it
    };
    Kind kind = Kind::kNone;
    int code = 0;  // of kRefuse
    std::string reason = "", message = "";
    absl::Duration delay = absl::ZeroDuration();  // added before the server looks at it
    bool retry_after = false;
  };
  // Called as a request arrives.
  std::function<Fault(const Seen&)> faults;
  // Called when the server has answered, with its code; of a watch, when it begins.
  std::function<void(const Seen&, int code)> on_answered;
  // Of objects' requests: gets, lists and watches; and writes that were allowed, whatever came of them.
  std::uint64_t reads() const { return reads_; }
  std::uint64_t writes() const { return writes_; }

  // Connections are refused, and those there are end at once.
  void SetDown(bool down);
  // Bytes of that client (empty: of all) stay on the wire, both ways, until it is switched off; clients notice after
  // kDeadAfter and drop what they waited for.
  void SetSilent(bool silent, const std::string& client = "");
  // Watches of `resource` (empty: all) see the connection end in the middle of a line; what was on its way is lost.
  void CutWatches(const std::string& resource = "");
  // They end as when their time is up, without a bookmark.
  void EndWatches(const std::string& resource = "");
  // Watch events come that much later than the writes that made them.
  void SetWatchLag(absl::Duration lag) { watch_lag_ = lag; }
  // Answers come that much later, so that watches tell first what a write made.
  void SetAnswerLag(absl::Duration lag) { answer_lag_ = lag; }
  // History is forgotten, continue tokens expire; watches that run go on.
  void Compact();
  // RBAC: a role without `verb` on `resource` ("services", "services/status").
  void Forbid(const std::string& verb, const std::string& resource) { forbidden_.emplace(verb, resource); }
  void Permit(const std::string& verb, const std::string& resource) { forbidden_.erase({verb, resource}); }
  // Every token is refused with 401.
  void RejectTokens(bool reject) { reject_tokens_ = reject; }

  std::size_t watches() const { return streams_.size(); }

 private:
  friend class FakeApiClient;
  // One request of a client, at both ends.
  struct Call {
    FakeApiClient* client = nullptr;  // null once it has ended for the client
    std::string client_name;
    RequestId id = 0;
    ApiRequest request;
    bool watch = false;
    bool lost = false;  // its connection ended: nothing of it arrives any more, at either end
  };
  using CallPtr = std::shared_ptr<Call>;
  struct Stream {
    CallPtr call;
    std::string resource, ns;
    Selector labels, fields;
    bool bookmarks = false;
    absl::Time next_delivery;
    TimerId bookmark_timer = 0, end_timer = 0;
  };
  using StreamPtr = std::shared_ptr<Stream>;

  // fake_api_server.cc
  void Arrive(const CallPtr& call);
  void Handle(const CallPtr& call, const ApiPath& path, const Seen& seen, const Fault& fault);
  std::optional<Reply> Refusal(const Seen& seen) const;
  Reply Serve(const Seen& seen);
  Reply List(const ApiPath& path);
  void Answer(const CallPtr& call, const Reply& reply, bool retry_after = false);
  void LoseConnection(const CallPtr& call, const std::string& why);
  bool Silent(const std::string& client) const { return silent_.contains("") || silent_.contains(client); }
  // Run it `after` from now on the shared loop, once the wire to that client carries anything. What a client has sent
  // arrives even if it has died or lost its patience since; not so what is sent to it.
  void ToServer(const CallPtr& call, absl::Duration after, std::function<void()> task);
  void ToClient(const CallPtr& call, absl::Duration after, std::function<void()> task);
  void GiveUpIfSilent(const CallPtr& call);

  // fake_api_watch.cc
  void BeginWatch(const CallPtr& call, const ApiPath& path);
  void OnEvent(const ApiStore::Event& event);
  void SendEvent(const StreamPtr& stream, const ApiStore::Event& event);
  void SendLine(const StreamPtr& stream, const nlohmann::json& line, absl::Duration lag);
  void SendBookmark(const StreamPtr& stream);
  void EndStream(const StreamPtr& stream);
  void Forget(const StreamPtr& stream);
  void Abandoned(const CallPtr& call);  // by its client
  std::vector<StreamPtr> StreamsOf(const std::string& resource) const;

  EventLoop& loop_;
  ApiStore store_;
  bool down_ = false, reject_tokens_ = false;
  std::set<std::string> silent_;
  std::map<std::string, std::vector<std::pair<CallPtr, std::function<void()>>>> held_;  // by client, while silent
  std::set<std::pair<std::string, std::string>> forbidden_;
  absl::Duration watch_lag_, answer_lag_;
  std::uint64_t reads_ = 0, writes_ = 0;
  std::map<std::uint64_t, std::vector<ObjectPtr>> snapshots_;  // of lists whose later pages may be asked for
  std::uint64_t last_snapshot_ = 0;
  std::vector<StreamPtr> streams_;
  std::vector<std::weak_ptr<Call>> calls_;
};

// All its timers and callbacks are on `process`: what is frozen does not send, and hears of nothing. Cancel of a write
// that was sent does not undo it.
class FakeApiClient final : public ApiClient {
 public:
  FakeApiClient(FakeApiServer& server, std::string name, EventLoop& process)
      : server_(server), name_(std::move(name)), process_(process) {}
  ~FakeApiClient() override;
  FakeApiClient(const FakeApiClient&) = delete;
  FakeApiClient& operator=(const FakeApiClient&) = delete;

  RequestId Do(ApiRequest request, Done done) override;
  RequestId Watch(ApiRequest request, WatchHandler handler) override;
  void Cancel(RequestId id) override;

  std::size_t in_flight() const { return running_.size(); }  // watches too

 private:
  friend class FakeApiServer;
  struct Running {
    FakeApiServer::CallPtr call;
    Done done;
    WatchHandler handler;
    TimerId timeout = 0;
  };
  RequestId Send(ApiRequest request, bool watch, Running running);
  void Began(RequestId id);  // of a watch
  void Line(RequestId id, const std::string& line);
  void End(RequestId id, absl::StatusOr<ApiResponse> result);

  FakeApiServer& server_;
  const std::string name_;
  EventLoop& process_;
  RequestId last_ = 0;
  std::map<RequestId, Running> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace berth::kube

#endif  // BERTH_TESTS_FAKES_KUBE_FAKE_API_SERVER_H_
