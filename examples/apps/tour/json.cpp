// SPDX-License-Identifier: Apache-2.0
#include "json.hpp"

#include "tree.hpp"

#include <boost/json/src.hpp>

namespace tour::json {
namespace {

namespace bj = boost::json;

bj::string_view view(std::string_view text) { return {text.data(), text.size()}; }

std::string_view word_for(coppice::SupervisorTree::State state) noexcept {
  using State = coppice::SupervisorTree::State;
  switch (state) {
    case State::running: return "running";
    case State::undefined: return "undefined";
    case State::restarting: return "restarting";
    case State::busy: return "busy";
    case State::gone: return "gone";
  }
  return "?";
}

bj::object object_of(const coppice::SupervisorTree& tree) {
  bj::object object;
  object["id"] = view(name_of(tree));
  object["pid"] = view(to_string(tree.pid));
  object["state"] = view(word_for(tree.state));
  if (!tree.children.empty()) {
    bj::array children;
    for (const auto& child : tree.children) children.push_back(object_of(child));
    object["children"] = std::move(children);
  }
  return object;
}

}  // namespace

std::string error(std::string_view text) { return object("error", text); }

std::string object(std::string_view key, std::string_view value) {
  bj::object object;
  object[view(key)] = view(value);
  return bj::serialize(object);
}

std::string object(std::string_view key, std::int64_t value) {
  bj::object object;
  object[view(key)] = value;
  return bj::serialize(object);
}

std::optional<std::string> text_of(std::string_view body, std::string_view key) {
  boost::system::error_code error;
  bj::parse_options options;
  options.max_depth = 8;
  const bj::value value = bj::parse(view(body), error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  const bj::value* found = value.as_object().if_contains(view(key));
  if (found == nullptr || !found->is_string()) return std::nullopt;
  return std::string(found->as_string().c_str(), found->as_string().size());
}

std::string tree(const coppice::SupervisorTree& tree) { return bj::serialize(object_of(tree)); }

struct Array::Content {
  bj::array array;
};

Array::Array() : content_(std::make_unique<Content>()) {}
Array::~Array() = default;

void Array::add(std::string_view key, std::string_view value, std::string_view key2, std::string_view value2) {
  bj::object object;
  object[view(key)] = view(value);
  object[view(key2)] = view(value2);
  content_->array.push_back(std::move(object));
}

std::string Array::text() const { return bj::serialize(content_->array); }

}  // namespace tour::json
