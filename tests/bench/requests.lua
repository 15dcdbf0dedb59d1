-- The requests of wrk: `-- OPERATION TOKENS IDS SEED`. One thread, so no task is deleted twice.

local host = "Host: 127.0.0.1\r\n"
local json = "Content-Type: application/json\r\n"
local operation, heads, users, ids, kept, deleted

local created = '{"title":"Buy oat milk after work","description":"Ask for the receipt."}'
local updated = '{"title":"Pay the rent on Monday","description":"Not before the 15th."}'

function init(args)
  operation = args[1]
  heads, users, ids = {}, {}, {}
  for token in io.lines(args[2]) do
    heads[#heads + 1] = " HTTP/1.1\r\n" .. host .. "Authorization: Bearer " .. token .. "\r\n"
  end
  for line in io.lines(args[3]) do
    local user, id = line:match("(%d+) (%S+)")
    users[#users + 1] = tonumber(user) + 1
    ids[#ids + 1] = id
  end
  math.randomseed(tonumber(args[4]))
  -- In a mix only the last fifth of the tasks is deleted, and no other operation uses those.
  kept = operation == "mix" and math.floor(#ids * 0.8) or #ids
  deleted = operation == "mix" and kept or 0
end

local function with_body(start, head, body)
  return start .. head .. json .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

local make = {}

function make.list()
  return "GET /api/tasks" .. heads[math.random(#heads)] .. "\r\n"
end

function make.get()
  local n = math.random(kept)
  return "GET /api/tasks/" .. ids[n] .. heads[users[n]] .. "\r\n"
end

function make.create()
  return with_body("POST /api/tasks", heads[math.random(#heads)], created)
end

function make.update()
  local n = math.random(kept)
  return with_body("PUT /api/tasks/" .. ids[n], heads[users[n]], updated)
end

function make.toggle()
  local n = math.random(kept)
  return "PATCH /api/tasks/" .. ids[n] .. "/complete" .. heads[users[n]] .. "\r\n"
end

function make.delete()
  if deleted >= #ids then
    wrk.thread:stop()
    return make.list()
  end
  deleted = deleted + 1
  return "DELETE /api/tasks/" .. ids[deleted] .. heads[users[deleted]] .. "\r\n"
end

-- Half lists, a fifth gets, three tenths writes.
function make.mix()
  local n = math.random(100)
  if n <= 50 then return make.list() end
  if n <= 70 then return make.get() end
  if n <= 80 then return make.create() end
  if n <= 88 then return make.update() end
  if n <= 95 then return make.toggle() end
  return make.delete()
end

function request()
  return make[operation]()
end

function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status, broken,
    latency:percentile(50), latency:percentile(99)
  ))
end
