// SPDX-License-Identifier: Apache-2.0
// tests/contract/kube/api_stage.h -- an ApiClient before a server, twice: the fake one in virtual time, and CurlClient
// before a small server of its own process over HTTP/2 and TLS.
//
//   stage->Put("web");
//   Call call(*stage, {.verb = "get", ...});
//   stage->Await(call);
#ifndef BERTH_TESTS_CONTRACT_KUBE_API_STAGE_H_
#define BERTH_TESTS_CONTRACT_KUBE_API_STAGE_H_

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/real_event_loop.h"
#include "controller/kube/client/api_client.h"
#include "controller/kube/client/curl_client.h"
#include "tests/fakes/kube/fake_api_server.h"
#include "tests/fakes/manual_event_loop.h"

namespace berth::kube {

class ApiStage {
 public:
  virtual ~ApiStage() = default;
  virtual EventLoop& loop() = 0;
  virtual ApiClient& client() = 0;
  virtual void EndClient() = 0;
  // Runs the loop until `done`, 20 s at most; `done` is looked at after each Changed. Its last answer.
  virtual bool RunUntil(const std::function<bool()>& done) = 0;
  virtual void Changed() {}

  virtual void Put(const std::string& name, const std::string& label) = 0;  // a Service of namespace default
  virtual void Delete(const std::string& name) = 0;
  virtual void Compact() = 0;
  // What happens to the next request with that verb.
  virtual void Fail(FakeApiServer::Fault::Kind kind, const std::string& verb) = 0;
  virtual void Refuse(int code, std::optional<int> retry_after, const std::string& message) = 0;
  virtual void Hang(const std::string& verb) = 0;
  virtual void CutWatches() = 0;
  virtual void EndWatches() = 0;
  virtual void SetDown(bool down) = 0;
  virtual std::size_t watches() = 0;  // that the server knows of
};

std::unique_ptr<ApiStage> MakeFakeStage();
std::unique_ptr<ApiStage> MakeCurlStage();

// A request, and what came of it.
struct Call {
  Call(ApiStage& stage, ApiRequest request);
  const absl::StatusOr<ApiResponse>& Await();
  absl::Status status() { return Await().status(); }
  nlohmann::json Json() { return nlohmann::json::parse(Await().value().body); }

  ApiStage& stage;
  bool within = true;  // the call to Do
  RequestId id = 0;
  int times = 0;
  absl::StatusOr<ApiResponse> result = absl::InternalError("nothing came");
};

struct WatchCall {
  WatchCall(ApiStage& stage, const std::string& version);
  bool AwaitLines(std::size_t n);
  absl::Status AwaitEnd();

  ApiStage& stage;
  RequestId id = 0;
  int begun = 0, ended = 0;
  std::vector<nlohmann::json> lines;
  absl::Status end;
};

ApiRequest Get(const std::string& name);
ApiRequest PatchLabel(const std::string& name, const std::string& label, const std::string& version = "");

// The small server as a process, spoken to in lines of JSON.
class ServerProcess {
 public:
  explicit ServerProcess(std::vector<std::string> flags = {});
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  nlohmann::json Tell(const nlohmann::json& command);
  void Signal(int signal) const;
  std::string Url() const;
  std::string Pem(const std::string& name) const;  // "ca.crt", "other.crt", "client.crt", "client.key"
  KubeConfig Config() const;                       // with its CA
  const std::string& folder() const { return folder_; }

 private:
  nlohmann::json ReadLine();
  std::string folder_;
  pid_t pid_ = 0;
  int to_ = -1, from_ = -1;
  std::string buffer_;
  int port_ = 0;
};

// A loop on the test's thread that runs until something is so.
class RealStageLoop {
 public:
  RealStageLoop() : loop_(*RealEventLoop::Create()) {}
  RealEventLoop& operator*() { return *loop_; }
  bool RunUntil(const std::function<bool()>& done);
  void Changed() { loop_->Stop(); }

 private:
  std::unique_ptr<RealEventLoop> loop_;
};

class CurlStage final : public ApiStage {
 public:
  explicit CurlStage(std::vector<std::string> flags = {}, CurlClient::Options options = {});
  void NewClient(KubeConfig config, CurlClient::Options options = {});
  ServerProcess& server() { return server_; }

  EventLoop& loop() override { return *loop_; }
  ApiClient& client() override { return *client_; }
  void EndClient() override { client_.reset(); }
  bool RunUntil(const std::function<bool()>& done) override { return loop_.RunUntil(done); }
  void Changed() override { loop_.Changed(); }
  void Put(const std::string& name, const std::string& label) override;
  void Delete(const std::string& name) override { server_.Tell({{"delete", "default/" + name}}); }
  void Compact() override { server_.Tell({{"compact", true}}); }
  void Fail(FakeApiServer::Fault::Kind kind, const std::string& verb) override;
  void Refuse(int code, std::optional<int> retry_after, const std::string& message) override;
  void Hang(const std::string& verb) override { server_.Tell({{"fault", "hang"}, {"verb", verb}}); }
  void CutWatches() override { server_.Tell({{"cut_watches", true}}); }
  void EndWatches() override { server_.Tell({{"end_watches", true}}); }
  void SetDown(bool down) override { server_.Tell({{"down", down}}); }
  std::size_t watches() override { return server_.Tell({{"stats", true}})["watches"]; }

 private:
  ServerProcess server_;
  RealStageLoop loop_;
  std::unique_ptr<CurlClient> client_;
};

}  // namespace berth::kube

#endif  // BERTH_TESTS_CONTRACT_KUBE_API_STAGE_H_
