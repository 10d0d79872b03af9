-- Which powerful tokens has nobody used for 30 days?
-- A token of GitHub's without a time of last use was never used. Okta does not tell it of all.
SELECT g.app AS app, g.app_name AS token, a.login AS owner, g.last_used_at AS last_used, g.scopes AS scopes
FROM app_grants g
LEFT JOIN accounts a ON a.instance = g.instance AND (a.account_id = g.principal_id OR a.login = g.principal_id)
WHERE g.kind IN ('token', 'api_key', 'consent') AND g.status = 'active' AND (g.high_privilege OR a.is_admin)
  AND (g.last_used_at < '{{since}}' OR (g.last_used_at IS NULL AND g.app = 'github'))
ORDER BY app, token, owner, last_used, scopes;
