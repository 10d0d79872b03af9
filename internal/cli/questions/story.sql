SELECT substr(time, 6, 14) AS "time (UTC)", action, outcome, target_name AS target
FROM activities
WHERE src_ip = '{{address}}' AND actor_name = '{{actor}}' AND (access = 'write' OR outcome = 'failure' OR kind = 'signin')
ORDER BY time, action;
