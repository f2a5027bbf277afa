// What went wrong, in the server's words, and a way to try again.
import type { ApiError } from "../lib/api.ts";
import { Icon } from "./icon.tsx";

export function ErrorBox({ error, retry }: { error: ApiError; retry?: () => void }) {
  return (
    <div class="errorbox" role="alert" data-testid="error" data-code={error.code}>
      <Icon name="warning" />
      <p>
        {error.message}
        {error.field && (
          <>
            {" "}
            <code>{error.field}</code>
          </>
        )}
      </p>
      {error.code === "not_found" && <a href="/">Go to the board</a>}
      {retry && error.code !== "not_found" && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
