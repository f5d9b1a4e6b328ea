"""Errors of the REST API, as Twilio words and numbers them. Source: Twilio's error dictionary."""

from __future__ import annotations

HTTP_STATUS = {
    10004: 429,
    20001: 400,
    20003: 401,
    20404: 404,
    20429: 429,
    21201: 400,
    21204: 400,
    21205: 400,
    21210: 400,
    21211: 400,
    21212: 400,
    21213: 400,
    21214: 400,
    21215: 400,
    21216: 403,
    21217: 400,
    21218: 400,
    21219: 400,
    21220: 400,
    21609: 400,
    22005: 400,
}

MESSAGES = {
    10004: "Call concurrency limit exceeded",
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    21201: "No 'To' number is specified",
    21204: "Call already initiated",
    21205: "Url is not a valid URL",
    21210: "The source phone number provided is not yet verified for your account",
    21211: "The phone number you are attempting to call is not valid",
    21212: "The phone number provided as 'From' is not valid",
    21213: "A 'From' phone number is required",
    21214: "The phone number you are attempting to call cannot be reached",
    21215: "Account not authorized to call this number: international permissions are off",
    21216: "Account not allowed to call this number",
    21217: "The phone number does not look valid",
    21218: "Invalid ApplicationSid",
    21219: "The number is unverified. Trial accounts may only make calls to verified numbers",
    21220: "Call is not in-progress. Cannot redirect.",
    21609: "The 'StatusCallback' URL is not a valid URL",
    22005: "The call would wait in the queue for longer than 24 hours",
}


class ApiError(Exception):
    """An answer that isn't 2xx; raised by whatever finds the request wrong."""

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        self.status = HTTP_STATUS.get(code, 400)
        self.message = message or MESSAGES.get(code, f"Error {code}")
        super().__init__(self.message)

    def body(self) -> dict[str, object]:
        """Twilio's error JSON."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
