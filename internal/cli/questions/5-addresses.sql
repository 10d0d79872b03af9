-- Which addresses failed to sign in again and again, and then got in?
SELECT instance, src_ip, sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END) AS failures,
  count(DISTINCT actor_name) AS accounts, max(CASE WHEN outcome = 'success' THEN actor_name ELSE '' END) AS got_in_as,
  max(CASE WHEN outcome = 'success' THEN time END) AS got_in_at
FROM activities
WHERE kind = 'signin' AND src_ip <> ''
GROUP BY instance, src_ip
HAVING sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END) >= 4
  AND sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END) > sum(CASE WHEN outcome = 'success' THEN 1 ELSE 0 END)
  AND max(CASE WHEN outcome = 'success' THEN time END) > min(CASE WHEN outcome = 'failure' THEN time END)
ORDER BY failures DESC, instance, src_ip;
