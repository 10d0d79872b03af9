SELECT substr(time, 6, 14) AS "time (UTC)", actor_name AS actor, action, outcome, target_name AS target
FROM activities
WHERE src_ip = '{{address}}' AND (access = 'write' OR outcome = 'failure' OR action LIKE 'signin:%')
ORDER BY time, action;
