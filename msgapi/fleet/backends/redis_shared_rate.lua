-- The arithmetic of ratelimit.shared.RateState, run by the server. Keep both the same: tests/test_quota_shared.py
-- compares them step by step. The constants in capitals are set before this text (ratelimit.shared.FIGURES).
-- KEYS: the hash with the state of one endpoint class. ARGV: the operation, its two numbers, and in tests the time.
local names = {
  'limit', 'rate', 'goal', 'next_at', 'closed_until', 'granted_since', 'granted',
  'rate_before', 'measured_since', 'measured', 'refused',
}
local m, stored = {}, redis.call('HMGET', KEYS[1], unpack(names))
for i, name in ipairs(names) do m[name] = tonumber(stored[i] or '0') end
local operation, a, b, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function count(slots)
  if m.limit ~= 0 or slots == 0 then return end
  if m.rate ~= 0 then
    local step = 0.7
    if m.goal ~= 0 and m.rate >= m.goal then step = math.max(1, 0.02 * m.rate) / m.rate end
    m.rate = m.rate + slots * step
  end
  if m.granted == 0 then m.granted_since = math.max(now, m.closed_until) end
  m.granted = m.granted + slots
end

local function reserve(slots, at_most)
  local limit = m.limit
  if limit == 0 then limit = m.rate end
  if limit == 0 or (at_most ~= 0 and at_most < limit) then limit = at_most end
  if limit == 0 then
    if m.closed_until > now then return 0, m.closed_until - now, 0 end
    slots = math.min(slots, UNSPACED)
    count(slots)
    return slots, 0, 0
  end
  local spacing = 1 / (SHARE * limit)
  local earliest = math.max(now - LATE, m.closed_until)
  local first = math.max(earliest, math.min(m.next_at, earliest + AGREED + 2 * spacing))
  if first - now > BLOCK then return 0, first - now, spacing end
  slots = math.min(slots, math.max(1, math.floor(limit * BLOCK)))
  count(slots)
  m.next_at = first + slots * spacing
  return slots, first - now, spacing
end

local function throttle(seconds)
  local closed = m.closed_until
  m.closed_until = math.max(closed, now + seconds)
  if m.limit ~= 0 then return end
  if m.refused ~= 0 and now < closed + WAVE then
    m.refused = m.refused + 1
  else
    m.rate_before, m.measured_since, m.measured, m.refused = m.rate, now, m.granted, 1
    if m.granted ~= 0 then m.measured_since = m.granted_since end
    m.granted = 0
  end
  local accepted = math.max(m.measured - m.refused, 0) / math.max(m.closed_until - m.measured_since, LEAST)
  if m.rate_before == 0 then m.rate = math.max(accepted, 1)
  else m.rate = math.max(math.min(accepted, 0.9 * m.rate_before), 0.5 * m.rate_before, LEAST) end
  m.goal = accepted >= 1 and accepted or 0
end

local slots, after, spacing = 0, 0, 0
if operation == 'reserve' then slots, after, spacing = reserve(a, b)
elseif operation == 'throttle' then throttle(a)
else m.limit, m.rate, m.goal = a, 0, 0 end
local fields = {}
for _, name in ipairs(names) do
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.17g', m[name])
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('EXPIRE', KEYS[1], 86400)
return {string.format('%d', slots), string.format('%.17g', after), string.format('%.17g', spacing)}
