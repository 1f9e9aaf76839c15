// SPDX-License-Identifier: Apache-2.0
#include "tests/contract/kube/api_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/atomic_file.h"

namespace berth::kube {
namespace {

using nlohmann::json;
using Fault = FakeApiServer::Fault;

json Service(const std::string& name, const std::string& label) {
  return {{"apiVersion", "v1"},
          {"kind", "Service"},
          {"metadata", {{"namespace", "default"}, {"name", name}, {"labels", {{"n", label}}}}},
          {"spec", {{"type", "LoadBalancer"}}}};
}

class FakeStage final : public ApiStage {
 public:
  FakeStage() {
    server_.faults = [this](const FakeApiServer::Seen& seen) {
      if (!fault_ || (!verb_.empty() && verb_ != seen.verb)) return Fault{};
      return *std::exchange(fault_, std::nullopt);
    };
  }
  EventLoop& loop() override { return loop_; }
  ApiClient& client() override { return *client_; }
  void EndClient() override { client_.reset(); }
  bool RunUntil(const std::function<bool()>& done) override {
    const absl::Time end = loop_.Now() + absl::Seconds(20);
    loop_.RunUntilIdle();
    while (!done() && loop_.NextDeadline().value_or(absl::InfiniteFuture()) <= end) loop_.AdvanceToNextTimer();
    if (!done()) loop_.AdvanceTo(end);
    return done();
  }
  void Put(const std::string& name, const std::string& label) override { server_.store().Put(Service(name, label)); }
  void Delete(const std::string& name) override { server_.store().Delete("services", {"default", name}); }
  void Compact() override { server_.Compact(); }
  void Fail(Fault::Kind kind, const std::string& verb) override { Next({.kind = kind}, verb); }
  void Refuse(int code, std::optional<int> retry_after, const std::string& message) override {
    Next({.kind = Fault::Kind::kRefuse, .code = code, .message = message, .retry_after = retry_after.has_value()}, "");
  }
  void Hang(const std::string& verb) override { Next({.delay = absl::Hours(1)}, verb); }
  void CutWatches() override { server_.CutWatches(); }
  void EndWatches() override { server_.EndWatches(); }
  void SetDown(bool down) override { server_.SetDown(down); }
  std::size_t watches() override { return server_.watches(); }

 private:
  void Next(Fault fault, const std::string& verb) {
    fault_ = std::move(fault);
    verb_ = verb;
  }
  ManualEventLoop loop_;
  FakeApiServer server_{loop_};
  std::unique_ptr<FakeApiClient> client_ = std::make_unique<FakeApiClient>(server_, "me", loop_);
  std::optional<Fault> fault_;
  std::string verb_;
};

}  // namespace

std::unique_ptr<ApiStage> MakeFakeStage() { return std::make_unique<FakeStage>(); }
std::unique_ptr<ApiStage> MakeCurlStage() { return std::make_unique<CurlStage>(); }

Call::Call(ApiStage& s, ApiRequest request) : stage(s) {
  id = stage.client().Do(std::move(request), [this](absl::StatusOr<ApiResponse> r) {
    CHECK_FALSE(within);
    ++times;
    result = std::move(r);
    stage.Changed();
  });
  within = false;
}

const absl::StatusOr<ApiResponse>& Call::Await() {
  CHECK(stage.RunUntil([this] { return times > 0; }));
  CHECK(times == 1);
  return result;
}

WatchCall::WatchCall(ApiStage& s, const std::string& version) : stage(s) {
  ApiRequest request{"watch", "services", Method::kGet, "/api/v1/services?watch=true"};
  if (!version.empty()) absl::StrAppend(&request.path, "&resourceVersion=", version);
  ApiClient::WatchHandler handler;
  handler.on_begin = [this] {
    CHECK(lines.empty());
    ++begun;
    stage.Changed();
  };
  handler.on_line = [this](absl::string_view line) {
    CHECK(ended == 0);
    lines.push_back(json::parse(std::string(line)));
    stage.Changed();
  };
  handler.on_end = [this](const absl::Status& status) {
    ++ended;
    end = status;
    stage.Changed();
  };
  id = stage.client().Watch(std::move(request), std::move(handler));
}

bool WatchCall::AwaitLines(std::size_t n) {
  return stage.RunUntil([&] { return lines.size() >= n; });
}

absl::Status WatchCall::AwaitEnd() {
  CHECK(stage.RunUntil([this] { return ended > 0; }));
  CHECK(ended == 1);
  return end;
}

ApiRequest Get(const std::string& name) {
  return {"get", "services", Method::kGet, "/api/v1/namespaces/default/services/" + name};
}

ApiRequest PatchLabel(const std::string& name, const std::string& label, const std::string& version) {
  json patch = {{"metadata", {{"labels", {{"n", label}}}}}};
  if (!version.empty()) patch["metadata"]["resourceVersion"] = version;
  return {"patch",     "services",  Method::kPatch, "/api/v1/namespaces/default/services/" + name,
          kMergePatch, patch.dump()};
}

ServerProcess::ServerProcess(std::vector<std::string> flags) {
  char name[] = "/tmp/berth-api-server-XXXXXX";
  folder_ = mkdtemp(name);
  int in[2], out[2];
  REQUIRE(pipe2(in, O_CLOEXEC) == 0);
  REQUIRE(pipe2(out, O_CLOEXEC) == 0);
  std::vector<std::string> words = {BERTH_PYTHON, BERTH_SOURCE_DIR "/tests/contract/kube/api_server.py", folder_};
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  REQUIRE(posix_spawn(&pid_, BERTH_PYTHON, &actions, nullptr, arguments.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
  port_ = ReadLine()["port"];
}

ServerProcess::~ServerProcess() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  close(to_);
  close(from_);
  std::filesystem::remove_all(folder_);
}

json ServerProcess::ReadLine() {
  for (;;) {
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      json line = json::parse(buffer_.substr(0, end));
      buffer_.erase(0, end + 1);
      return line;
    }
    char bytes[4096];
    const ssize_t n = read(from_, bytes, sizeof bytes);
    REQUIRE(n > 0);  // else it has ended: its stderr says why
    buffer_.append(bytes, static_cast<std::size_t>(n));
  }
}

json ServerProcess::Tell(const json& command) {
  const std::string line = command.dump() + "\n";
  REQUIRE(write(to_, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
  return ReadLine();
}

void ServerProcess::Signal(int signal) const { REQUIRE(kill(pid_, signal) == 0); }
std::string ServerProcess::Url() const { return absl::StrCat("https://127.0.0.1:", port_); }
std::string ServerProcess::Pem(const std::string& name) const { return ReadFile(folder_ + "/" + name).value().value(); }

KubeConfig ServerProcess::Config() const {
  KubeConfig config;
  config.server = Url();
  config.ca.text = Pem("ca.crt");
  return config;
}

bool RealStageLoop::RunUntil(const std::function<bool()>& done) {
  bool late = false;
  const TimerId timer = loop_->RunAfter(absl::Seconds(20), [&] {
    late = true;
    loop_->Stop();
  });
  while (!done() && !late) loop_->Run();
  loop_->Cancel(timer);
  return done();
}

CurlStage::CurlStage(std::vector<std::string> flags, CurlClient::Options options) : server_(std::move(flags)) {
  NewClient(server_.Config(), std::move(options));
}

void CurlStage::NewClient(KubeConfig config, CurlClient::Options options) {
  client_ = *CurlClient::Create(*loop_, std::move(config), std::move(options));
}

void CurlStage::Put(const std::string& name, const std::string& label) {
  server_.Tell({{"put", Service(name, label)}});
}

void CurlStage::Fail(Fault::Kind kind, const std::string& verb) {
  server_.Tell({{"fault", kind == Fault::Kind::kLoseAnswer ? "lose-answer" : "lose-request"}, {"verb", verb}});
}

void CurlStage::Refuse(int code, std::optional<int> retry_after, const std::string& message) {
  json command = {{"refuse", code}, {"message", message}};
  if (retry_after) command["retry_after"] = *retry_after;
  server_.Tell(command);
}

}  // namespace berth::kube
