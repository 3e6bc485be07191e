-- One GitLab event per request, each a different one; for `wrk -s benches/single.lua`.
local number, thread_number = 0, 0
function setup(thread)
  thread:set("thread_id", thread_number)
  thread_number = thread_number + 1
end
local event = '{"id":"%d-%d","author_id":%d,"entity_id":29,"entity_type":"Project","details":{"author_name":"Administrator",' ..
  '"author_class":"User","target_id":29,"target_type":"Project","target_details":"example-project","custom_message":' ..
  '{"protocol":"ssh","action":"git-receive-pack"},"ip_address":"127.0.0.1","entity_path":"example-group/example-project"},' ..
  '"ip_address":"127.0.0.1","author_name":"Administrator","entity_path":"example-group/example-project",' ..
  '"target_details":"example-project","created_at":"2026-02-23T06:%02d:%02d.%03dZ","target_type":"Project","target_id":%d,' ..
  '"event_type":"repository_git_operation"}'
local headers = { ["Authorization"] = "Bearer " .. (os.getenv("WATCHFIRE_INGEST_TOKEN") or "bench"), ["Content-Type"] = "application/json" }
function request()
  number = number + 1
  local id = os.time() * 10 + thread_id
  local body = string.format(event, id, number, number % 5000, (number / 60000) % 60, (number / 1000) % 60, number % 1000, number)
  return wrk.format("POST", nil, headers, body)
end
