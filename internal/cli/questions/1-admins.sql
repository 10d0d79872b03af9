-- Which administrators have no second factor?
SELECT DISTINCT a.app AS app, a.login AS login, p.role_name AS may, p.scope_kind AS over, p.via AS granted
FROM accounts a
JOIN privileges p ON p.instance = a.instance AND p.principal_id = a.account_id
WHERE p.privileged AND NOT a.mfa_enabled AND a.status = 'active'
ORDER BY app, login, may, over, granted;
