// Says that the server is away, and by vanishing that it has come back.
import { away } from "../lib/server.ts";
import { Icon } from "./icon.tsx";

export function AwayBanner() {
  return (
    <div class="banner-place" role="status" aria-live="polite">
      {away.value && (
        <p class="banner" data-testid="away">
          <Icon name="warning" />
          The server is away, trying again. What is shown may be old.
        </p>
      )}
    </div>
  );
}
