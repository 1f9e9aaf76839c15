// SPDX-License-Identifier: Apache-2.0
// tests/contract/kube/webhook_stage.h -- the webhook server with certificates of our own authority, and what calls it
// as an API server does: by the name of its Service, trusting that authority alone.
#ifndef BERTH_TESTS_CONTRACT_KUBE_WEBHOOK_STAGE_H_
#define BERTH_TESTS_CONTRACT_KUBE_WEBHOOK_STAGE_H_

#include <curl/curl.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/real_event_loop.h"
#include "controller/admission/webhook_server.h"
#include "controller/kube/certs/serving_files.h"
#include "controller/kube/certs/tls_material.h"

namespace berth::admission {

struct Reply {
  CURLcode curl = CURLE_OK;
  long status = 0;
  std::string body;
  long connects = 0;  // new connections made for it
};

// One connection, kept. Its own thread may use it.
class Caller {
 public:
  Caller(int port, std::string ca_bundle) : port_(port), ca_(std::move(ca_bundle)), curl_(curl_easy_init()) {}
  ~Caller() { curl_easy_cleanup(curl_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  Reply Post(const std::string& path, const std::string& body) {
    constexpr char kHost[] = "berth-webhook.openelb-system.svc";
    Reply reply;
    curl_slist* resolve = curl_slist_append(nullptr, absl::StrCat(kHost, ":", port_, ":127.0.0.1").c_str());
    curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_blob ca{ca_.data(), ca_.size(), CURL_BLOB_COPY};
    curl_easy_setopt(curl_, CURLOPT_URL, absl::StrCat("https://", kHost, ":", port_, path, "?timeout=5s").c_str());
    curl_easy_setopt(curl_, CURLOPT_RESOLVE, resolve);
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl_, CURLOPT_CAINFO_BLOB, &ca);
    curl_easy_setopt(curl_, CURLOPT_CAPATH, nullptr);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &reply.body);
    curl_easy_setopt(
        curl_, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t n, void* out) {
          static_cast<std::string*>(out)->append(data, n);
          return n;
        });
    reply.curl = curl_easy_perform(curl_);
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &reply.status);
    curl_easy_getinfo(curl_, CURLINFO_NUM_CONNECTS, &reply.connects);
    curl_slist_free_all(resolve);
    curl_slist_free_all(headers);
    return reply;
  }

 private:
  const int port_;
  std::string ca_;
  CURL* const curl_;
};

// A loop in a thread of its own; On runs something on it and waits.
class LoopThread {
 public:
  LoopThread() : loop_(std::move(*RealEventLoop::Create())), thread_([this] { loop_->Run(); }) {}
  ~LoopThread() {
    loop_->Stop();
    thread_.join();
  }
  RealEventLoop& loop() { return *loop_; }
  void On(const std::function<void()>& task) {
    std::promise<void> done;
    loop_->Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  const std::unique_ptr<RealEventLoop> loop_;
  std::thread thread_;
};

class CertFolder {
 public:
  CertFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "berth-webhook-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~CertFolder() { std::filesystem::remove_all(path_); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // New ones, of a new authority.
  kube::TlsMaterial Renew() {
    const kube::TlsPolicy policy{.names = kube::ControllerNames("openelb-system")};
    kube::TlsMaterial made = (**kube::Renew({}, policy, absl::Now())).material;
    REQUIRE(kube::WriteServingFiles(path_, made).ok());
    return made;
  }

 private:
  std::string path_;
};

}  // namespace berth::admission

#endif  // BERTH_TESTS_CONTRACT_KUBE_WEBHOOK_STAGE_H_
